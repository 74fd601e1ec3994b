"""The demonstration of linear mixed models: what examples/mixed_model.py shows around `elimax.stats.lmm`.

- `datasets`: three classic data sets, and lme4's results for them
- `report`: the comparison with lme4, as text
- `plots`: the fill-in of the factor
"""
