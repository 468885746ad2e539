# Becomes a systemd-nspawn over a copy of / that is thrown away: all mounts are this mount namespace's and end with it.
# Arguments: an empty folder, the cgroups to move into (one word), then systemd-nspawn's own.
set -e
for group in $2; do echo $$ > "$group/cgroup.procs"; done
mount -t tmpfs -o size=75%,mode=0755 previewops-test "$1"
mkdir "$1/upper" "$1/work" "$1/root"
mount -t overlay -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" previewops-test "$1/root"
folder=$1
shift 2
exec systemd-nspawn --directory="$folder/root" "$@"
