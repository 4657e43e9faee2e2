"""What tests of several folders share: training by hand, comparisons, data."""
