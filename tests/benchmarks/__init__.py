"""Scripts that measure ml2021 beside its peers; pytest does not collect them."""
