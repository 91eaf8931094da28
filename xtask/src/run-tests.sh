#!/bin/sh
# Runs tests in the lab, executable by executable: run-tests.sh EXECUTABLE TEST… [-- EXECUTABLE TEST…]…

# What the tests before may have left, above all those that failed: each executable finds the node
# as it is after boot.
reset() {
    for pod in $(ip -o netns list | cut -d' ' -f1); do
        if [ "$pod" != switch ]; then ip netns delete "$pod"; fi
    done
    rm -rf /var/lib/cni/* /var/lib/podbond
    for pf in /sys/class/net/pf*; do
        read -r vfs <"$pf/device/sriov_numvfs"
        if [ "$vfs" -gt 0 ]; then echo 0 >"$pf/device/sriov_numvfs"; fi
        ip link set "${pf##*/}" up mtu 1500
    done
    lab-switch bridge
}

# Tests make bonds of their own with ip, which gives the node a bond0 if that loads the driver.
modprobe bonding max_bonds=0

failed=0
while [ $# -gt 0 ]; do
    executable=$1
    shift
    names=
    while [ $# -gt 0 ] && [ "$1" != -- ]; do
        names="$names $1"
        shift
    done
    if [ $# -gt 0 ]; then shift; fi
    echo "lab: ${executable##*/}"
    "$executable" --test-threads=1 --exact $names || failed=1
    reset
done
exit $failed
