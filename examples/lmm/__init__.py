"""Linear mixed models on elimax: what examples/mixed_model.py is made of.

- `model`: the mathematics, from cross products to the criterion and what follows from it
- `fitting`: minimizing the criterion; estimates and standard errors
- `datasets`: three classic data sets, and lme4's results for them
- `report`: the comparison with lme4, as text
- `plots`: the figures
"""
