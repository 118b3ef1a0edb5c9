#!/bin/sh
# `LAUNCH="sh tests/two_processes.sh" sh stages/run NAME`: what `torchrun --nproc-per-node=2` does,
# in the time that a test has. The caller chooses MASTER_PORT.
export MASTER_ADDR=127.0.0.1 WORLD_SIZE=2 LOCAL_WORLD_SIZE=2
RANK=1 LOCAL_RANK=1 python "$@" &
RANK=0 LOCAL_RANK=0 python "$@"
wait $!
