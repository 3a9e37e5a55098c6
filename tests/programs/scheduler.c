/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * scx_example: a scheduler program as other people write them. It opens an object, loads it, looks whether another
 * scheduler runs, attaches, and stays until a signal or its exit record ends it. It knows nothing of a host.
 *
 *	scx_example OBJECT [HABIT [VARIABLE=NUMBER]...]
 *
 * HABIT is what it does differently:
 *	wrong-argument	says so and ends before it attaches
 *	hangs, dies, eats	instead of attaching: waits, aborts, takes memory without end
 *	forks		leaves the attach to a child
 *	threads		leaves the attach to a thread
 *	stubborn	ignores SIGINT and SIGTERM, and its exit record too
 *	floods		writes without end while it runs
 *	restarts	starts over when its scheduler has left
 *	reflects	thinks for a while when its scheduler has left, and is ended by any signal meanwhile
 *	environment	prints its environment first
 *	identity	prints what the kernel says of its user and its rights first
 *	serves		answers on a socket in /run/scx/root with its process number
 *	reports		answers questions for statistics on that socket, as the scx project's schedulers do
 *	reports-nothing, reports-garbage, reports-nested, reports-floods	does not answer them, or not so
 *	attaches-twice	loads its object once more when it runs, and asks for that one too, again and again
 *	child-attaches	the same in a child, which has nothing of its parent
 *	eats-later	uses more memory than it may have when it runs
 *	gives-up	ends with status 3 when it runs
 *	floods-links	asks for links of another kind as fast as it can when it runs
 *	pins		pins its link to the BPF file system, so that it outlives the process
 *	nests		makes cgroups below its own
 *	linkless	registers its scheduler without a link, as objects in a plain .struct_ops section do
 *	below=ID	takes the object's scheduler in cid form, and is one for the cgroup of this number
 * Each VARIABLE is one of the object's read-only globals, set before it is loaded.
 */
#define _GNU_SOURCE
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static volatile sig_atomic_t stop;
static const char *habit = "";
static const char *below;

static void on_signal(int signal)
{
	stop = 1;
}

static bool is(const char *name)
{
	return strcmp(habit, name) == 0;
}

static bool another_one_runs(void)
{
	char state[32] = "";
	FILE *file = fopen("/sys/kernel/sched_ext/state", "re");

	if (file) {
		if (!fgets(state, sizeof(state), file))
			state[0] = '\0';
		fclose(file);
	}
	return strcmp(state, "disabled\n") != 0;
}

static void *attach(void *map)
{
	return bpf_map__attach_struct_ops(map);
}

static struct bpf_link *attach_in_thread(struct bpf_map *map)
{
	pthread_t thread;
	void *link = NULL;

	if (pthread_create(&thread, NULL, attach, map) == 0)
		pthread_join(thread, &link);
	return link;
}

static int listen_for_statistics(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = "/run/scx/root/stats" };
	int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	mkdir("/run/scx", 0755);
	mkdir("/run/scx/root", 0755);
	unlink(address.sun_path);
	if (bind(listener, (struct sockaddr *)&address, sizeof(address)) || listen(listener, 4))
		return -1;
	return listener;
}

static void *serve(void *unused)
{
	int listener = listen_for_statistics();

	for (;;) {
		int client = accept(listener, NULL, NULL);

		if (client < 0)
			return NULL;
		dprintf(client, "%d\n", getpid());
		close(client);
	}
}

static const char *const description =
	"{\"errno\":0,\"args\":{\"resp\":{"
	"\"Cpu\":{\"name\":\"Cpu\",\"fields\":{\"pid\":{\"datum\":\"u64\",\"desc\":\"process number\"}}},"
	"\"Metrics\":{\"name\":\"Metrics\",\"top\":\"true\",\"fields\":{"
	"\"cpus\":{\"dict\":{\"key\":\"u64\",\"datum\":{\"struct\":\"Cpu\"}}},"
	"\"load\":{\"datum\":\"float\"},\"name\":{\"datum\":\"string\"},"
	"\"questions\":{\"datum\":\"u64\",\"desc\":\"questions answered\"}}}}}}\n";

/* One client after the other: there is only the host. */
static void *report(void *unused)
{
	int listener = listen_for_statistics(), questions = 0;
	static char block[65536];
	char line[256];

	memset(block, '[', sizeof(block) - 1);
	for (;;) {
		int client = accept(listener, NULL, NULL);
		FILE *asked = fdopen(client, "r");

		if (!asked)
			return NULL;
		while (fgets(line, sizeof(line), asked)) {
			if (is("reports-nothing"))
				continue;
			if (is("reports-garbage"))
				dprintf(client, "\x01{\"errno\":\n");
			else if (is("reports-nested"))
				dprintf(client, "%s\n", block);
			else if (is("reports-floods"))
				while (write(client, block, sizeof(block)) > 0)
					;
			else if (strstr(line, "\"stats_meta\""))
				dprintf(client, "%s", description);
			else
				dprintf(client,
					"{\"errno\":0,\"args\":{\"resp\":{\"cpus\":{\"0\":{\"pid\":%d}},\"load\":0.5,"
					"\"name\":\"example\",\"questions\":%d}}}\n",
					getpid(), ++questions);
		}
		fclose(asked);
	}
}

static void *attach_again(void *path)
{
	struct bpf_object *object = bpf_object__open_file(path, NULL);
	struct bpf_map *map;

	if (!object || bpf_object__load(object))
		return NULL;
	bpf_object__for_each_map(map, object)
		while (bpf_map__type(map) == BPF_MAP_TYPE_STRUCT_OPS && !bpf_map__attach_struct_ops(map))
			perror("cannot attach a second one");
	printf("attached a second one\n");
	return NULL;
}

static void make_cgroups(void)
{
	char line[256] = "", path[512];
	FILE *file = fopen("/proc/self/cgroup", "re");

	if (!file || !fgets(line, sizeof(line), file))
		return;
	line[strcspn(line, "\n")] = '\0';
	snprintf(path, sizeof(path), "/sys/fs/cgroup%s/outer", line + strlen("0::"));
	mkdir(path, 0755);
	strcat(path, "/inner");
	printf("%s\n", mkdir(path, 0755) == 0 ? "made cgroups" : strerror(errno));
	fclose(file);
}

static void print_status(void)
{
	static const char *const wanted[] = { "Uid:", "Gid:", "Groups:", "CapPrm:", "CapEff:", "CapBnd:", "CapAmb:",
					      "NoNewPrivs:" };
	FILE *file = fopen("/proc/self/status", "re");
	char line[512];

	while (file && fgets(line, sizeof(line), file))
		for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++)
			if (strncmp(line, wanted[i], strlen(wanted[i])) == 0)
				fputs(line, stdout);
	if (file)
		fclose(file);
}

static bool set_variable(struct bpf_object *object, const char *assignment)
{
	const char *equals = strchr(assignment, '=');
	const struct btf *btf = bpf_object__btf(object);
	struct bpf_map *map = bpf_object__find_map_by_name(object, ".rodata");
	const struct btf_type *section;
	unsigned long long number;
	size_t size;
	char *values;
	int id = btf ? btf__find_by_name_kind(btf, ".rodata", BTF_KIND_DATASEC) : -1;

	if (!equals || !map || id < 0)
		return false;
	number = strtoull(equals + 1, NULL, 0);
	section = btf__type_by_id(btf, id);
	values = bpf_map__initial_value(map, &size);
	for (int i = 0; i < btf_vlen(section); i++) {
		const struct btf_var_secinfo *place = btf_var_secinfos(section) + i;
		const char *name = btf__name_by_offset(btf, btf__type_by_id(btf, place->type)->name_off);

		if (strlen(name) != (size_t)(equals - assignment) || strncmp(name, assignment, equals - assignment) != 0)
			continue;
		/* The number's low bytes come first on all machines that have sched_ext. */
		memcpy(values + place->offset, &number, place->size < sizeof(number) ? place->size : sizeof(number));
		return true;
	}
	return false;
}

/* The struct that a struct_ops map is an instance of. */
static const struct btf_type *type_of(struct bpf_object *object, struct bpf_map *scheduler)
{
	const struct btf *btf = bpf_object__btf(object);
	int id = btf__find_by_name_kind(btf, bpf_map__name(scheduler), BTF_KIND_VAR);

	return btf__type_by_id(btf, btf__type_by_id(btf, id)->type);
}

static void set_member(struct bpf_object *object, struct bpf_map *scheduler, const char *name, unsigned long long number)
{
	const struct btf_type *ops = type_of(object, scheduler);
	size_t size;
	char *values = bpf_map__initial_value(scheduler, &size);

	for (int i = 0; i < btf_vlen(ops); i++)
		if (strcmp(btf__name_by_offset(bpf_object__btf(object), btf_members(ops)[i].name_off), name) == 0)
			memcpy(values + btf_member_bit_offset(ops, i) / 8, &number, sizeof(number));
}

/* For which CPUs this is: the kernel refuses it when one has come or gone since. */
static void set_hotplug_seq(struct bpf_object *object, struct bpf_map *scheduler)
{
	FILE *file = fopen("/sys/kernel/sched_ext/hotplug_seq", "re");
	unsigned long long number = 0;

	if (file && fscanf(file, "%llu", &number) == 1)
		set_member(object, scheduler, "hotplug_seq", number);
	if (file)
		fclose(file);
}

/* Of an object that has both forms of its scheduler, the one that it takes; its place in the tree of them. */
static bool choose_form(struct bpf_object *object, struct bpf_map *scheduler)
{
	const struct btf_type *ops = type_of(object, scheduler);
	bool is_cid = strcmp(btf__name_by_offset(bpf_object__btf(object), ops->name_off), "sched_ext_ops_cid") == 0;

	if (is_cid != (below != NULL)) {
		bpf_map__set_autocreate(scheduler, false);
		return false;
	}
	if (below)
		set_member(object, scheduler, "sub_cgroup_id", strtoull(below, NULL, 0));
	return true;
}

/* Links of another kind, which the kernel refuses each. */
static void *flood_links(void *unused)
{
	union bpf_attr attributes = { .link_create = { .prog_fd = -1, .attach_type = BPF_TRACE_FENTRY } };

	for (;;)
		syscall(SYS_bpf, BPF_LINK_CREATE, &attributes, sizeof(attributes));
	return unused;
}

static void eat(void)
{
	for (;;) {
		volatile char *some = malloc(1 << 20);

		for (int i = 0; some && i < 1 << 20; i += 4096)
			some[i] = 1;
	}
}

/* 0: it ended in order; 1: it did not; 2: the exit record asks for another round. */
static int run(const char *path, char **variables)
{
	struct bpf_object *object = bpf_object__open_file(path, NULL);
	struct bpf_map *map, *scheduler = NULL, *record = NULL;
	struct bpf_link *link;
	volatile int *kind;
	size_t size;

	for (; object && *variables; variables++)
		if (!set_variable(object, *variables)) {
			fprintf(stderr, "cannot set %s\n", *variables);
			return 1;
		}
	bpf_object__for_each_map(map, object) {
		if (bpf_map__type(map) != BPF_MAP_TYPE_STRUCT_OPS || !choose_form(object, map))
			continue;
		scheduler = map;
		set_hotplug_seq(object, map);
		if (is("linkless"))
			bpf_map__set_map_flags(map, bpf_map__map_flags(map) & ~BPF_F_LINK);
	}
	if (!object || bpf_object__load(object)) {
		perror("cannot load");
		return 1;
	}
	bpf_object__for_each_map(map, object) {
		if (strstr(bpf_map__name(map), ".data") && !strstr(bpf_map__name(map), "uei"))
			record = map;
	}
	if (!scheduler || !record)
		return 1;
	kind = bpf_map__initial_value(record, &size);

	if (another_one_runs()) {
		fprintf(stderr, "another sched_ext scheduler is already running\n");
		return 1;
	}
	link = is("threads") ? attach_in_thread(scheduler) : bpf_map__attach_struct_ops(scheduler);
	if (!link) {
		perror("cannot attach");
		return 1;
	}
	printf("scheduler started\n");
	if (is("pins") && bpf_link__pin(link, "/sys/fs/bpf/scx_example"))
		perror("cannot pin");
	if (is("nests"))
		make_cgroups();
	if (is("attaches-twice")) {
		pthread_t thread;

		pthread_create(&thread, NULL, attach_again, (void *)path);
	}
	if (is("child-attaches") && fork() == 0) {
		close_range(STDERR_FILENO + 1, ~0U, 0);
		attach_again((void *)path);
		_exit(0);
	}
	if (is("floods-links")) {
		pthread_t thread;

		pthread_create(&thread, NULL, flood_links, NULL);
	}
	if (is("eats-later"))
		eat();
	if (is("gives-up")) {
		fprintf(stderr, "cannot go on\n");
		exit(3);
	}
	while ((!stop && !*kind) || is("stubborn")) {
		if (is("floods"))
			printf("%01000d\n", 7);
		else
			usleep(10000);
	}
	if (is("reflects")) {
		signal(SIGINT, SIG_DFL);
		usleep(100000);
	}
	bpf_link__destroy(link);
	printf("exit kind %d: %s\n", *kind, (const char *)kind + 16);
	bpf_object__close(object);
	return is("restarts") && !stop ? 2 : 0;
}

int main(int argc, char **argv)
{
	char **variables = argc > 3 ? argv + 3 : argv + argc;
	int result;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc < 2)
		return 2;
	habit = argc > 2 ? argv[2] : "";
	if (strncmp(habit, "below=", strlen("below=")) == 0)
		below = habit + strlen("below=");
	signal(SIGINT, is("stubborn") ? SIG_IGN : on_signal);
	signal(SIGTERM, is("stubborn") ? SIG_IGN : on_signal);

	if (is("wrong-argument")) {
		fprintf(stderr, "error: unexpected argument '%s' found\n\nUsage: scx_example OBJECT [HABIT]\n", habit);
		return 2;
	}
	if (is("environment"))
		for (char **entry = environ; *entry; entry++)
			puts(*entry);
	if (is("identity"))
		print_status();
	if (is("hangs"))
		for (;;)
			pause();
	if (is("dies"))
		abort();
	if (is("eats"))
		eat();
	if (is("forks")) {
		pid_t child = fork();

		if (child == 0)
			_exit(run(argv[1], variables));
		waitpid(child, &result, 0);
		return WEXITSTATUS(result);
	}
	if (is("serves")) {
		pthread_t thread;

		pthread_create(&thread, NULL, serve, NULL);
	}
	if (strncmp(habit, "reports", strlen("reports")) == 0) {
		pthread_t thread;

		signal(SIGPIPE, SIG_IGN); /* as every Rust program has it */
		pthread_create(&thread, NULL, report, NULL);
	}
	do
		result = run(argv[1], variables);
	while (result == 2);
	return result;
}
