# SPDX-License-Identifier: GPL-2.0-only
# cmake -DOBJECT=FILE -DOUTPUT=HEADER -P: a header that differs when the object does. The assembler puts the object into
# the plugin, unseen by a compiler cache that goes by the files that the compiler read (ccache in its depend mode), which
# would take a descriptor with another object from the cache.
file(SHA256 "${OBJECT}" hash)
file(WRITE "${OUTPUT}" "/* SPDX-License-Identifier: GPL-2.0-only */\n/* ${hash} */\n")
