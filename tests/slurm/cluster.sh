#!/bin/bash
# A Slurm of several nodes on one host: each slurmd has a mount and a UTS namespace, with a host name,
# a machine-id and a lock folder of its own, and CPUs of its own where there are enough and cgroups
# can tell them apart.
#
# cluster.sh up DIR NODES linuxproc|cgroup   starts it; prints the variables to use it by
# cluster.sh node DIR N                      starts node N again
# cluster.sh down DIR                        ends whatever it started
set -eu
verb=$1
mkdir -p "$2"
dir=$(realpath "$2")
export SLURM_CONF=$dir/slurm.conf

end() { # PIDFILE
    [ ! -e "$1" ] || kill "$(cat "$1")" 2>/dev/null || true
}

node() { # N
    local n=$1
    mkdir -p "$dir/spool.n$n" "$dir/lock.n$n"
    chmod 1777 "$dir/lock.n$n"
    printf '%032x\n' $((0xf1ee7000 + n)) >"$dir/machine-id.n$n"
    # shellcheck disable=SC2016 # the inner shell's own
    unshare --mount --uts sh -c '
        mount --bind "$1/machine-id.n$2" /etc/machine-id
        mount --bind "$1/lock.n$2" /run/lock
        hostname "n$2"
        exec slurmd -N "n$2" -f "$1/slurm.conf"' sh "$dir" "$n"
}

# A range of ports that nobody uses now; clusters beside each other begin their search elsewhere.
ports() { # COUNT
    local first=$((20000 + $$ % 160 * 50))
    while ss -Hltn | awk '{ n = split($4, part, ":"); print part[n] }' |
        awk -v first="$first" -v count="$1" '$1 >= first && $1 < first + count { found = 1 } END { exit !found }'; do
        first=$((first + 50))
    done
    echo "$first"
}

up() { # NODES PROCTRACK
    local nodes=$1 tracked=$2 host total each first task lines='' n own rest
    host=$(</proc/sys/kernel/hostname)
    total=$(nproc)
    each=$((total / nodes))
    mkdir -p "$dir/state" "$dir/log"
    # Its own, so that clusters beside each other come and go.
    mkdir -p "$dir/munge"
    chmod 711 "$dir/munge"
    head -c 1024 /dev/urandom >"$dir/munge/key"
    chmod 600 "$dir/munge/key"
    munged --force --socket="$dir/munge/socket" --key-file="$dir/munge/key" --pid-file="$dir/munge/pid" \
        --log-file="$dir/munge/log" --seed-file="$dir/munge/seed"
    if [ "$tracked" = cgroup ] && [ ! -d /sys/fs/cgroup/cpuset ]; then
        # This Slurm reads version 1 alone.
        echo 'no cgroups of version 1 here: linuxproc instead' >&2
        tracked=linuxproc
    fi
    task=task/none
    [ "$tracked" != cgroup ] || task=task/cgroup,task/affinity
    first=$(ports $((nodes + 1)))
    for n in $(seq "$nodes"); do
        own=
        if [ "$tracked" = cgroup ] && [ "$nodes" -gt 1 ] && [ $each -ge 1 ]; then
            own=$(seq -s, $(((n - 1) * each)) $((n * each - 1)))
            rest=$(comm -23 <(seq 0 $((total - 1)) | sort) <(echo "$own" | tr , '\n' | sort) | sort -n | paste -sd,)
            own="CpuSpecList=$rest"
        fi
        lines+="NodeName=n$n NodeHostname=$host NodeAddr=127.0.0.1 Port=$((first + n)) Sockets=1"
        lines+=" CoresPerSocket=$total ThreadsPerCore=1 RealMemory=1500 $own State=UNKNOWN"$'\n'
    done
    cat >"$SLURM_CONF" <<C
ClusterName=t
SlurmctldHost=$host(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$dir/munge/socket
SlurmctldPort=$first
SlurmctldPidFile=$dir/ctld.pid
SlurmdPidFile=$dir/slurmd.%n.pid
SlurmdSpoolDir=$dir/spool.%n
StateSaveLocation=$dir/state
SlurmctldLogFile=$dir/log/ctld
SlurmdLogFile=$dir/log/slurmd.%n
SwitchType=switch/none
MpiDefault=none
ProctrackType=proctrack/$tracked
TaskPlugin=$task
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
ReturnToService=2
SlurmdParameters=config_overrides
SlurmdTimeout=10
KillWait=10
MinJobAge=3600
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
${lines}PartitionName=tune Nodes=ALL Default=YES MaxTime=INFINITE State=UP OverSubscribe=NO PriorityTier=1 GraceTime=0
PartitionName=urgent Nodes=ALL MaxTime=INFINITE State=UP OverSubscribe=NO PriorityTier=100
C
    printf 'CgroupPlugin=cgroup/v1\nCgroupMountpoint=/sys/fs/cgroup\nConstrainCores=yes\n' >"$dir/cgroup.conf"
    slurmctld -c -f "$SLURM_CONF"
    for n in $(seq "$nodes"); do node "$n"; done
    for _ in $(seq 300); do
        [ "$(sinfo -h -N -p tune -t idle 2>/dev/null | wc -l)" != "$nodes" ] || break
        sleep 0.1
    done
    echo "SLURM_CONF=$SLURM_CONF"
}

case $verb in
up) up "$3" "$4" ;;
node) node "$3" ;;
down)
    for file in "$dir"/ctld.pid "$dir"/slurmd.*.pid; do end "$file"; done
    end "$dir/munge/pid"
    ;;
esac
