# Windows line ends.
# encoding: utf-8
# newline: crlf
