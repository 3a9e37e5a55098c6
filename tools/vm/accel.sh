# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# How QEMU runs the guest's instructions. /dev/kvm may exist and still not run a stock kernel, so KVM is taken only
# after a trial boot. Otherwise emulation with one thread: with several, QEMU 7.2 breaks a guest whose kernel patches
# its own text while other CPUs run, and sched_ext does that.

# accel_choose KERNEL: prints kvm or tcg. The answer holds until the machine boots again.
accel_choose() {
	local answer boot
	boot=$(cat /proc/sys/kernel/random/boot_id 2>/dev/null || echo unknown)
	answer="$cache/accel-$boot"
	if [[ ! -e $answer ]]; then
		mkdir -p "$cache"
		rm -f "$cache"/accel-*
		if accel_kvm_works "$1"; then echo kvm; else echo tcg; fi >"$answer.$$"
		mv "$answer.$$" "$answer"
	fi
	cat "$answer"
}

# accel_kvm_works KERNEL: boots it with an init that does nothing but switch off.
accel_kvm_works() {
	local dir status=0
	grep -qwE 'vmx|svm' /proc/cpuinfo && [[ -w /dev/kvm ]] || return
	dir=$(mktemp -d "${TMPDIR:-/tmp}/scxhost-kvm.XXXXXX")
	mkdir -p "$dir/root"
	cp "$(command -v busybox)" "$dir/root/busybox"
	printf '%s\n' '#!/busybox sh' '/busybox poweroff -f' >"$dir/root/init"
	chmod +x "$dir/root/init"
	image_pack "$dir/root" "$dir/initrd"
	timeout -k 1 20 qemu-system-x86_64 -accel kvm -cpu host -m 512 -smp 2 -nodefaults -no-user-config -display none \
		-no-reboot -kernel "$1" -initrd "$dir/initrd" -append 'console=ttyS0 panic=-1' -serial "file:$dir/console" \
		</dev/null >/dev/null 2>&1 || status=$?
	if ((status == 0)) && ! grep -q 'Power down' "$dir/console"; then status=1; fi
	rm -rf "$dir"
	return "$status"
}

# accel_options NAME ICOUNT CPUS: QEMU's options, one a line.
accel_options() {
	case $1 in
	kvm) printf '%s\n' -accel kvm -cpu host ;;
	tcg)
		printf '%s\n' -accel tcg,thread=single -cpu max
		# One instruction is one nanosecond of the guest's time, whatever the machine does meanwhile.
		if [[ $2 ]]; then printf '%s\n' -icount shift=0,sleep=off; fi
		# With this clock a virtual CPU keeps the thread until some timer of the machine expires, which it sets itself: 2 ms
		# at a time in one guest and 15 ms in another, as the kernel that runs there likes, and then some CPUs are passed
		# over. A timer that no guest sees makes turns even: that of a filter for a network that leads nowhere.
		if [[ $2 ]] && (($3 > 1)); then
			printf '%s\n' -netdev hubport,id=turns,hubid=0 -object filter-buffer,id=turn,netdev=turns,queue=rx,interval=100
		fi
		;;
	esac
}
