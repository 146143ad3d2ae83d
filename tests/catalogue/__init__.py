"""What goes wrong, and what the program then does: a table with a row for each case.

The cases are numbered from 1 to 93. A row is a `Case`: what is put
into the folder, the command, its exit code, the exact lines on stderr, and what may have changed;
everything else in the folder, the runs in it too, must be as it was, to the byte.

To add a row, append a `Case` to `CASES` in the module of its section; a new behaviour without a
number of its own takes the number of the case that it is a kind of. A row needs no test function:
`test_catalogue.py` runs them all. Write the line that the user should read before you run it.

    config          1-16   what the config or the command line says, exit 2
    csv_structure  17-33   files that are no table, exit 3
    csv_values     34-43   cells, exit 3
    predicting     44-53   files that are not the training file, exit 3
    checkpoints    54-66   what a run directory holds, exit 4
    process        68-82   signals, disks, memory, locks, devices
    numbers        83-93   what training makes of odd numbers

Beside them `ownership` has what outputs may replace, and `parquet` cells of Parquet files.
"""
