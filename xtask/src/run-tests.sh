#!/bin/sh
# Runs test executables in the lab, one after another: run-tests.sh FILTER EXECUTABLE…
filter=$1
shift

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

failed=0
for test in "$@"; do
    echo "lab: ${test##*/}"
    "$test" --test-threads=1 $filter || failed=1
    reset
done
exit $failed
