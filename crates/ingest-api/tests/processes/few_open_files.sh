#!/bin/sh
# A shell that allows the program few open files, and to ask for more.
ulimit -Sn 128 && ulimit -Hn 4096 && exec "$PROGRAM"
