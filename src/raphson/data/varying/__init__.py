"""Effects whose strength the data choose: groups' own coefficients, and smooth functions."""
