# Line ends of an old Macintosh.
# newline: cr
