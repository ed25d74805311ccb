#!/bin/sh
# A job whose truth is known: it sleeps 0.1 s with 3 blocks, and 0.02 s more for each block further off.
blocks=$1
off=$((blocks > 3 ? blocks - 3 : 3 - blocks))
exec sleep "$(printf '0.%03d' $((100 + 20 * off)))"
