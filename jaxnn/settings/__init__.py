"""Hyperparameters: their names, defaults and ranges, and how settings are drawn from a space.

Programs, plans and search methods do not belong here. Files, in reading order: `hyperparameters`
(the table), `domains` (ranges and choices), `distributions` (the functions that make them),
`layers` (how many hidden layers, and how many units each), `alternatives` (one of several spaces),
`sampling` (`sample`), `spaces` (the default space, the course's, and published ones).

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
| decay_schedule | "none" | "inverse", "exponential", "inverse_sqrt", "power" or "staircase" by \
the epoch, "cosine" by the step; "plateau" when `patience` runs out; see \
`jaxnn.decayed_learning_rate` |
| **decay_rate** | by schedule | 1; 0.95 for "exponential", 0.5 for "staircase", 0.2 for "plateau" |
| **decay_every** | 1 | epochs that the schedule counts as one |
| **decay_power** | 0.5 | the power of "power" |
| **warmup** | 0 | epochs in which the learning rate rises from 0, before the schedule begins |
| **patience** | None | training stops after so many epochs in a row that did not improve the \
monitored curve; 10 for "plateau", which lowers the learning rate in place of that |
| **min_delta** | 0 | an improvement is more than this |
| monitor | None | the monitored curve: "cost", "accuracy", "rmse", "mae" or "r2" in training, \
"valid_cost", "valid_accuracy", "valid_rmse", "valid_mae" or "valid_r2"; None is "valid_cost" if \
there is a validation set, else "cost" |

Names in **bold** are traced: they are data to the compiled program, and a new value compiles
nothing. So are the seeds and the number of epochs. The other names are structure: they shape the
program.

- `jaxnn.fit` compiles a program for each new structure, once in the life of the process.
- `jaxnn.sweep` and `jaxnn.search` compile the programs of their plan. Settings of different
  structure may share one, see `jaxnn.plan`.
- `inputs` compiles nothing: inputs are treated in float64 before training. The fitted network
  carries the statistics.
- `l2`, `weight_decay`, `dropout`, `label_smoothing` and `warmup` compile a program when they go
  from 0 to more, and `clip_norm` and `patience` when they go from None to a number: nothing is
  computed for a 0 or for None.
- `monitor` compiles nothing. Lanes of a sweep that wait for different curves share a program.
- A network that was stopped keeps the weights of its last epoch, or of its best one with
  `keep="best"`; its curves end there. "plateau" stops a network whose learning rate is no more than
  1e-6. A `Run`, which is stopped by hand, has neither.
- "cosine" reaches 0 at the end of `epochs` or `max_epochs`. A halving's rungs before that, and
  `refit`, have the same schedule.

A space may give `hidden` as `jaxnn.layers(depth=..., units=...)`, which draws the number of layers
and the units of each; the settings that are drawn have plain tuples.

## What each costs, and its source

The time of a training step, as a multiple of that of a plain network (Adam, relu, softmax, nothing
switched on), for 32 lanes of 64-32-16-10 and 8 lanes of 12288-25-12-6 on a CPU
(`benchmarks/vocabulary.py`). The wide network's step is the traffic of its weights: what works on
activations costs it nothing, what reads all weights once more costs a tenth to a half. Each name
that a program contains costs all its lanes. Learning-rate schedules and numbers that are missing
here cost nothing that can be measured.

| name | small | wide | source |
| --- | --- | --- | --- |
| gd | 0.9 | 0.7 | Robbins and Monro 1951 |
| momentum, nesterov | 0.9 | 0.8 | Polyak 1964, Nesterov 1983; the course's form |
| rmsprop | 0.95 | 0.95 | Hinton, Srivastava and Swersky 2012, lecture 6 |
| adam, adamw | 1 | 1 | Kingma and Ba 2015; Loshchilov and Hutter 2019 |
| lion | 0.95 | 1 | Chen et al. 2023 |
| all seven in one program | 1.1 | 1.1 | |
| relu, leaky_relu, identity, tanh, sigmoid | 1.1 | 1 | Nair and Hinton 2010, Maas et al. 2013 |
| gelu, silu | 1.1 to 1.2 | 1 | Hendrycks and Gimpel 2016, Elfwing et al. 2018 |
| elu, selu | 1.2 | 1 | Clevert et al. 2016, Klambauer et al. 2017 |
| softplus, mish | 1.5, 1.7 | 1 | Dugas et al. 2001, Misra 2020 |
| relu and tanh in one program; all eleven | 1.3; 2.6 | 1.05 | |
| squared, absolute, huber, quantile | 1.3 | 1 | Huber 1964, Koenker and Bassett 1978 |
| poisson | 2 | 1 | Nelder and Wedderburn 1972 |
| batch_norm | 1.6 | 1.2 | Ioffe and Szegedy 2015 |
| dropout | 1.4 | 1.2 | Srivastava et al. 2014 |
| label_smoothing | 1.2 | 1.05 | Szegedy et al. 2016 |
| clip_norm | 1.15 | 1.5 | Pascanu et al. 2013 |
| l2 | 1 | 1.2 | |
| weight_decay | 1 | 1.1 | Loshchilov and Hutter 2019 |
| cosine, warmup | 1 | 1 | Loshchilov and Hutter 2017, Goyal et al. 2017 |

The sources of initialisers are in `jaxnn.init_dense`. Losses of real targets are measured with
their metrics, rmse, mae and r2, which is most of what they cost a small network.

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
