/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Which groups have something to run: looked at by a timer, at moments that have nothing to do with what tasks do, so
 * that one that sleeps half of the time is met half of the time. It runs only while groups matter and somebody waits for
 * a CPU; where nobody waits, no weight is needed.
 */
#pragma once

#include "slices.bpf.h"

#define SAMPLE_NS 3000000ULL
#define SAMPLE_JITTER_NS ((1ULL << 20) - 1) /* tasks have periods, too */
#define SAMPLES_WITHOUT_NEED 8

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct timer_slot);
} sample_timer SEC(".maps");

static u32 sampling;
static u32 samples_without_need;

static bool somebody_waits(void)
{
	u32 i;

	bpf_for(i, 0, INTERACTIVE_MAX_DOMAINS) {
		if (i >= nr_domains)
			break;
		if (scx_bpf_dsq_nr_queued(i) > 0)
			return true;
	}
	return false;
}

/* Something with this weight competes in the group; a group that had nothing so far competes itself in the one above. */
static void add_to_sample(u32 index, u32 of_sample, u64 weight)
{
	u32 side = of_sample & 1, i;

	bpf_for(i, 0, MAX_GROUP_DEPTH) {
		struct group *group = group_at(index);

		if (group->sum_sample[side] == of_sample) {
			group->sum[side] += weight;
			return;
		}
		group->sum[side] = weight;
		group->sum_sample[side] = of_sample;
		if (index == ROOT_GROUP)
			return;
		weight = group->weight;
		index = group->parent;
	}
}

static u64 sample_word(u32 word, u32 of_sample)
{
	u64 active = groups_active[word & (GROUP_WORDS - 1)];
	u64 total = 0;
	u32 bit;

	bpf_for(bit, 0, 64) {
		u32 index = word * 64 + bit;
		u64 load;

		if (!(active >> (bit & 63) & 1))
			continue;
		load = group_at(index)->load;
		if (load) {
			add_to_sample(index, of_sample, load);
			total += load;
			continue;
		}
		__sync_fetch_and_and(&groups_active[word & (GROUP_WORDS - 1)], ~(1ULL << (bit & 63)));
		/* It may have woken up in between, and have seen the bit. */
		if (group_at(index)->load)
			mark_active(index);
	}
	return total;
}

static int on_sample(void *map, u32 *key, struct timer_slot *slot)
{
	u32 next = sample + 1, word;
	u64 total = 0;

	if (!groups_matter() || samples_without_need >= SAMPLES_WITHOUT_NEED) {
		samples_without_need = 0;
		sampling = 0;
		return 0;
	}
	bpf_for(word, 0, GROUP_WORDS)
		if (groups_active[word & (GROUP_WORDS - 1)])
			total += sample_word(word, next);
	sample_total[next & 1] = total;
	sample = next;
	group_stats.samples++;

	samples_without_need = somebody_waits() ? 0 : samples_without_need + 1;
	bpf_timer_start(&slot->timer, SAMPLE_NS + (scx_bpf_now() & SAMPLE_JITTER_NS), 0);
	return 0;
}

/* Somebody waits for a CPU. */
static void start_samples(void)
{
	struct timer_slot *slot;
	u32 zero = 0;

	if (sampling || __sync_lock_test_and_set(&sampling, 1))
		return;
	slot = bpf_map_lookup_elem(&sample_timer, &zero);
	if (!slot || bpf_timer_start(&slot->timer, 0, 0))
		sampling = 0;
}

static int init_samples(void)
{
	u32 zero = 0;
	struct timer_slot *slot = bpf_map_lookup_elem(&sample_timer, &zero);

	if (!slot)
		return 0;
	/* -EBUSY: it is there since the object was attached before. */
	bpf_timer_init(&slot->timer, &sample_timer, CLOCK_MONOTONIC);
	bpf_timer_set_callback(&slot->timer, on_sample);
	sampling = 0;
	samples_without_need = 0;
	return 0;
}

static void stop_samples(void)
{
	u32 zero = 0;
	struct timer_slot *slot = bpf_map_lookup_elem(&sample_timer, &zero);

	if (slot)
		bpf_timer_cancel(&slot->timer);
}
