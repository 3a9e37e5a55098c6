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
# start_prometheus COMMAND...: has Prometheus scrape as ./prometheus.yml says, twice in four seconds, and be asked at its port.
start_prometheus() {
	mkdir "$container/run/prometheus"
	{
		echo 'global: {scrape_interval: 2s, scrape_timeout: 2s}'
		cat prometheus.yml
	} >"$container/run/prometheus/prometheus.yml"
	"$@" --config.file=/run/prometheus/prometheus.yml --storage.tsdb.path=/run/prometheus/data \
		--web.listen-address=127.0.0.1:9090 --log.level=warn >/run/prometheus.log 2>&1 &
}
# prometheus_value QUERY: of its one result, as Prometheus' API has it.
prometheus_value() { wget -q -O - "http://127.0.0.1:9090/api/v1/query?query=$1" | sed -n 's/.*"value":\[[^,]*,"\([^"]*\)"\]}\]}}.*/\1/p'; }
# scraped QUERY VALUE: waits until Prometheus has that.
scraped() {
	tries=0
	until [ "$(prometheus_value "$1" 2>/dev/null)" = "$2" ]; do
		tries=$((tries + 1))
		[ $tries -lt 300 ] || fail "Prometheus has '$(prometheus_value "$1" 2>&1 || true)' and not '$2' for $1: $(cat /run/prometheus.log)"
		sleep 0.2
	done
}
