"""From a file to tensors: tables, columns, splits, preprocessing, batches."""
