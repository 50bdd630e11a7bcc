"""One module a library: it runs in that library's own environment, reads problems from standard input, a
JSON object a line, and writes an answer a line. It counts nothing: it says what its library reports.
"""
