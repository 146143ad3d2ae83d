"""What broke under attack from outside, each kind of it in a file.

- files: what is the user's, marks, outputs, links, names, full disks: A1-A7, C1, C11, E1, E5
- layouts: A1-A3 and A5-A7 by random trees of folders
- values: ids, large integers, bytes, marks, Parquet cells: A8-A11, C3, C4
- received: runs and sweeps of somebody else: A4, B1-B3, C7-C10, and mutations of any file
- terminal: what is printed, in any locale: B4, C2, E4
- environment: matplotlib, address space, warnings of libraries: C5, C6, E2, E3, E7
- size: B5, D1-D3
- streams: D4
- messages: names of predictions, repeated rows: E6, E9
- alone: a row has the digits that it has among others
"""
