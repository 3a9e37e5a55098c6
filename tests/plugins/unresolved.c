/* SPDX-License-Identifier: GPL-2.0-only */
/* A plugin that calls a function which nobody has: refused when it is loaded, not when it gets there. */
#include <scxhost/plugin.h>

int32_t a_function_that_nobody_has(void *instance);

extern const struct scxhost_plugin_callbacks scxhost_plugin_callbacks_table;
const struct scxhost_plugin_callbacks scxhost_plugin_callbacks_table = {
	.size = sizeof(struct scxhost_plugin_callbacks),
	.tick = a_function_that_nobody_has,
};
