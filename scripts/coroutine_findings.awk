# From clang-query's words to "file:line kind" for each finding.
/error:/ { print "clang-query could not read it: " $0 }
/ note: "(co_await|co_await-inside|co_return|default-argument|condition)" binds here/ { split($1, at, ":"); gsub(/"/, "", $3); print at[1] ":" at[2] " " $3 }
