"""Hyperparameters: their names, defaults and ranges, and how settings are drawn from a space.

Programs, plans and search methods do not belong here. Files, in reading order: `hyperparameters`
(the table), `domains` (ranges and choices), `layers` (how many hidden layers, and how many units
each), `sampling` (`sample`), `spaces` (the course's space, and published ones).

## Traced or structure

A setting is a plain dict. A name that is missing has its default:

| name | default | meaning |
| --- | --- | --- |
| optimizer | "adam" | "gd", "momentum", "nesterov", "rmsprop", "adam", "adamw" or "lion", or a \
function that makes an Optax transformation, see `jaxnn.optimizer` |
| **learning_rate** | 1e-3 | alpha, any finite number > 0 |
| **momentum** | 0.9 | beta of "momentum" and "nesterov": v <- beta v + (1 - beta) dW |
| **beta1** | 0.9 | decay of the mean of gradients, for "adam", "adamw" and "lion" |
| **beta2** | 0.999 | decay of the mean of squared gradients, for "adam", "adamw" and "rmsprop" \
(0.9); for "lion" (0.99) that of the mean |
| **epsilon** | 1e-8 | added to the denominator of "adam", "adamw" and "rmsprop" |
| hidden | () | units of the hidden layers; () is softmax regression |
| activation | "relu" | "relu", "tanh", "sigmoid", "leaky_relu" (slope 0.01), "identity", \
"gelu" (by tanh), "silu", "selu", "elu", "mish" or "softplus" |
| init | "xavier_uniform" | "xavier_uniform", "xavier_normal", "he_uniform", "he_normal" or \
"lecun_normal", see `jaxnn.init_dense` |
| batch_size | 32 | the last, smaller mini-batch of an epoch is a step as well |
| loss | by data | of classes "softmax"; of two classes, or of labels 0 and 1, "sigmoid"; of real \
targets "squared", "absolute", "huber", "quantile" or "poisson"; or a function |
| targets | by loss | real targets "raw", or "standardised" by mean and deviation of the training \
part; the latter for "squared", "absolute", "huber" and "quantile" |
| **label_smoothing** | 0 | share of the cost that is the mean over all labels, below 1, for \
"softmax" and "sigmoid" |
| **huber_delta** | 1 | error at which "huber" goes from squared to linear |
| **quantile** | 0.5 | the quantile that "quantile" predicts, between 0 and 1 |
| **l2** | 0 | adds l2 / 2 times the sum of squared kernels to the cost |
| **weight_decay** | 0 | a step of "adamw" or "lion" subtracts alpha weight_decay W from kernels |
| **clip_norm** | None | the gradient of all weights is scaled to at most this norm |
| **dropout** | 0 | share of the hidden units that are dropped, below 1 |
| batch_norm | False | batch norm in the hidden layers, before the activation |
| **batch_norm_decay** | 0.9 | decay of batch norm's running averages |
| inputs | "raw" | "centred" or "standardised", by mean and deviation of the training part |
| decay_schedule | "none" | "inverse", "exponential", "inverse_sqrt" or "staircase" by the epoch, \
"cosine" by the step, see `jaxnn.decayed_learning_rate` |
| **decay_rate** | by schedule | 1; 0.95 for "exponential", 0.5 for "staircase" |
| **decay_every** | 1 | epochs that the schedule counts as one |
| **warmup** | 0 | epochs in which the learning rate rises from 0, before the schedule begins |

Names in **bold** are traced: they are data to the compiled program, and a new value compiles
nothing. So are the seeds and the number of epochs. The other names are structure: they shape the
program.

- `jaxnn.fit` compiles a program for each new structure, once in the life of the process.
- `jaxnn.sweep` and `jaxnn.search` compile the programs of their plan. Settings of different
  structure may share one, see `jaxnn.plan`.
- `inputs` compiles nothing: inputs are treated in float64 before training. The fitted network
  carries the statistics.
- `l2`, `weight_decay`, `dropout`, `label_smoothing` and `warmup` compile a program when they go
  from 0 to more, and `clip_norm` when it goes from None to a number: nothing is computed for a 0 or
  for None.
- "cosine" reaches 0 at the end of `epochs` or `max_epochs`. A halving's rungs before that, and
  `refit`, have the same schedule.

A space may give `hidden` as `jaxnn.layers(depth=..., units=...)`, which draws the number of layers
and the units of each; the settings that are drawn have plain tuples.

## Targets and losses

Integers and booleans are classes. Floats are real targets, unless the data set was given
`num_classes`. A loss whose targets are standardised by default trains on (y - mean) / deviation, in
whose unit `cost` and `huber_delta` are; the metrics rmse and mae, and predictions, are in the
targets' own units. Label smoothing, l2 and weight decay change what is trained for, not the `cost`
in curves.

| loss | cost of an example, for outputs f and targets y |
| --- | --- |
| softmax | -log softmax(f)_y, see `jaxnn.softmax_cross_entropy` |
| sigmoid | -y log a - (1 - y) log(1 - a), a = sigmoid(f), the sum over labels, see \
`jaxnn.sigmoid_cross_entropy` |
| squared | (f - y)^2 / 2, here and below the mean over targets, see `jaxnn.squared_error` |
| absolute | abs(f - y), see `jaxnn.absolute_error` |
| huber | (f - y)^2 / 2 up to huber_delta and linear beyond, see `jaxnn.huber_loss` |
| quantile | (y - f) quantile, or (f - y) (1 - quantile) where f > y, see `jaxnn.quantile_loss` |
| poisson | exp(f) - y f + y log y - y, and exp(f) is predicted, see `jaxnn.poisson_loss` |

A loss, or an optimizer, may be a function. Its arguments without a default, and those whose default
is a float, are hyperparameters: `def loss(outputs, targets, power)` has the hyperparameter `power`.
A loss gets outputs in the shape of real targets, or logits (B, C) and classes (B,), and returns
costs (B,). Files hold the names of functions, not their code.

A name that the optimizer, the loss or the schedule does not use is accepted. Bad input is a
`ValueError` before anything is compiled. It names the key, what came and what is allowed.
"""
