"""Hyperparameters: their names, defaults and ranges, and how settings are drawn from a space.

Programs, plans and search methods do not belong here. Files, in reading order: `hyperparameters`
(the table), `domains` (ranges and choices), `sampling` (`sample`).

## Traced or structure

A setting is a plain dict. A name that is missing has its default:

| name | default | meaning |
| --- | --- | --- |
| optimizer | "adam" | "gd", "momentum", "rmsprop" or "adam", see `jaxnn.optimizer` |
| **learning_rate** | 1e-3 | alpha, any finite number > 0 |
| **momentum** | 0.9 | beta of "momentum": v <- beta v + (1 - beta) dW |
| **beta1** | 0.9 | decay of the mean of gradients, for "adam" |
| **beta2** | 0.999 | decay of the mean of squared gradients, for "adam" and "rmsprop" (0.9) |
| **epsilon** | 1e-8 | added to the denominator of "adam" and "rmsprop" |
| hidden | () | units of the hidden layers; () is softmax regression |
| activation | "relu" | "relu", "tanh", "sigmoid", "leaky_relu" (slope 0.01) or "identity" |
| init | "xavier_uniform" | "xavier_uniform", "xavier_normal", "he_uniform" or "he_normal" |
| batch_size | 32 | the last, smaller mini-batch of an epoch is a step as well |
| **l2** | 0 | adds l2 / 2 times the sum of squared kernels to the cost |
| **dropout** | 0 | share of the hidden units that are dropped, below 1 |
| batch_norm | False | batch norm in the hidden layers, before the activation |
| **batch_norm_decay** | 0.9 | decay of batch norm's running averages |
| inputs | "raw" | "centred" or "standardised", by mean and deviation of the training part |
| **decay_schedule** | "none" | "inverse", "exponential", "inverse_sqrt" or "staircase", see \
`jaxnn.decayed_learning_rate` |
| **decay_rate** | by schedule | 1; 0.95 for "exponential", 0.5 for "staircase" |
| **decay_every** | 1 | epochs that the schedule counts as one |

Names in **bold** are traced: they are data to the compiled program, and a new value compiles
nothing. So are the seeds and the number of epochs. The other names are structure: they shape the
program.

- `jaxnn.fit` compiles a program for each new structure, once in the life of the process.
- `jaxnn.sweep` and `jaxnn.search` compile the programs of their plan. Settings of different
  structure may share one, see `jaxnn.plan`.
- `inputs` compiles nothing: inputs are treated in float64 before training. The fitted network
  carries the statistics.
- `l2` and `dropout` compile a program when they go from 0 to more, and `decay_schedule` when it
  goes from "none" to another, because nothing is computed for a 0 or for "none".

A name that the optimizer or the schedule does not use is accepted. Bad input is a `ValueError`
before anything is compiled. It names the key, what came and what is allowed.
"""
