#!/bin/sh
# A job whose truth is known: it sleeps as long as the table of its node says of its words.
# job.sh TABLES WORDS…
tables=$1
shift
read -r node </proc/sys/kernel/hostname
exec sleep "$(awk -F '\t' -v key="$*" '$1 == key { print $2; exit }' "$tables/$node")"
