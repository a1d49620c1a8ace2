"""What a person reads: lines, tables, questions. The commands decide what is printed."""
