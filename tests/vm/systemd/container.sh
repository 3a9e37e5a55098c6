# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=dash
#
# For the scripts that have systemd as the first process of a container in a guest, and ask and watch it from outside.

config=/etc/scxhost/scxhost.toml
# start_systemd FOLDER [ARGUMENT]...: starts systemd with FOLDER as its root, and waits until it takes orders; $systemd is
# its process.
start_systemd() {
	container=$1
	shift
	unshare -f -p -m --mount-proc="$container/proc" --propagation private env -i container=test PATH=/usr/sbin:/usr/bin \
		chroot "$container" /lib/systemd/systemd --log-target=kmsg "$@" </dev/null >/dev/null 2>&1 &
	systemd=
	wait_for "$container/run/systemd/private" ls "$container/run/systemd/private"
	systemd=$(pidof systemd)
}
inside() { nsenter -t "$systemd" -m -p -r "$@"; }
state() { inside systemctl show scxhost.service --property "$1" --value; }
ops() { cat /sys/kernel/sched_ext/root/ops 2>/dev/null || true; }
# wait_for TEXT COMMAND...: until COMMAND says that.
wait_for() {
	want=$1 tries=0
	shift
	until [ "$("$@" 2>/dev/null)" = "$want" ]; do
		tries=$((tries + 1))
		[ $tries -lt 600 ] || fail "'$*' never said '$want' but '$("$@" 2>&1 || true)'"
		sleep 0.1
	done
}
# fail MESSAGE: also what the host said, where a drop-in has it in /run/scxhost.err, and what systemd knows.
fail() {
	echo "error: $1" >&2
	cat "$container/run/scxhost.err" >&2 || true
	if [ "${systemd:-}" ]; then inside systemctl status scxhost.service --no-pager --full >&2 || true; fi
	dmesg | grep -E 'systemd|scxhost' | tail -n 40 >&2
	exit 1
}
expect_runs() {
	case $(ops) in
	"$1"_*) ;;
	*) fail "'$(ops)' runs and not $1" ;;
	esac
}
