"""Files and directories: written whole or not at all, locked, and checked before they are read.

Nothing in here knows what a network is. `jaxnn.formats` describes what the package's files hold.

Files, in reading order: `writing` (atomic writes), `claims` (sizes that a file declares), `hdf5`
(arrays behind a checksum), `versions` (upgrades of old files), `rules` and `encoding` (values as
JSON), `trees` (pytrees as named arrays), `locks` and `directories` (commits of a search).
"""
