"""What evals ask models: the fixture `judge`, its cache, and recordings of the calls an eval makes."""
