# SPDX-License-Identifier: LGPL-2.1-or-later
# One makefile, all output in build/. `make help` lists the targets.

BUILD    ?= build
V        ?= 0
CC       ?= gcc
BPF_CC   ?= clang-16
BPFTOOL  ?= $(firstword $(wildcard /usr/sbin/bpftool /usr/local/sbin/bpftool) bpftool)
PREFIX   ?= /usr/local
SANITIZE ?=
KERNELS  ?= 6.1 latest

Q := $(if $(filter 1,$(V)),,@)
msg = $(if $(filter 1,$(V)),,@printf '  %-8s %s\n' '$(1)' '$(patsubst $(BUILD)/%,%,$(2))';)

PKGS     := libbpf yaml-0.1 json-c libcap libseccomp
WARNINGS := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla \
            -Wpointer-arith -Wwrite-strings -Wundef -Wformat=2 -Werror=unused-function
CFLAGS   ?= -O2 -g
ALL_CFLAGS := -std=gnu17 -D_GNU_SOURCE $(CFLAGS) $(WARNINGS) $(if $(CI),-Werror) \
              -fno-strict-aliasing -fvisibility=hidden -fPIC -pthread -Iinclude -Iuser -I$(BUILD) \
              $(shell pkg-config --cflags $(PKGS) 2>/dev/null) \
              $(if $(SANITIZE),-fsanitize=address,undefined -fno-sanitize-recover=all)
LDLIBS   := $(shell pkg-config --libs $(PKGS) 2>/dev/null) -lkeyutils -lelf -lz -pthread
LDFLAGS  += $(if $(SANITIZE),-fsanitize=address,undefined)

# The target architecture's headers are not clang's for BPF, hence -idirafter.
BPF_CFLAGS := -target bpf -D__TARGET_ARCH_x86 -mcpu=v3 -O2 -g -Wall -Wextra -Werror \
              -Wno-unused-parameter -Wno-missing-declarations \
              -Iinclude -Ibpf -I. -idirafter /usr/include/x86_64-linux-gnu

# ------------------------------------------------------------------ sources
# user/main.c and user/warderd.c are the programs; all else is the library.
PROGRAMS  := warder warderd
LIB_SRC   := $(filter-out user/main.c user/warderd.c,$(wildcard user/*.c))
LIB_OBJ   := $(LIB_SRC:user/%.c=$(BUILD)/obj/%.o)
SKELETON  := $(BUILD)/warder.skel.h
BPF_OBJ   := $(patsubst bpf/%.bpf.c,$(BUILD)/bpf/%.bpf.o,$(wildcard bpf/*.bpf.c))
PROBE_SRC := $(wildcard tests/kernel/*.bpf.c)
PROBE_SKEL := $(PROBE_SRC:tests/kernel/%.bpf.c=$(BUILD)/%.skel.h)
UNIT      := $(patsubst tests/unit/%.c,$(BUILD)/tests/unit/%,$(wildcard tests/unit/test_*.c))
KTEST     := $(patsubst tests/kernel/%.c,$(BUILD)/tests/kernel/%,$(wildcard tests/kernel/test_*.c))
KHELP_OBJ := $(patsubst tests/kernel/%.c,$(BUILD)/tests/kernel/%.o,$(filter-out $(wildcard tests/kernel/test_*.c tests/kernel/*.bpf.c),$(wildcard tests/kernel/*.c)))

.PHONY: all help deps check check-all check-unit check-vm check-vmlinux check-style check-docs demo \
        asan bench clean install kernels compile_commands.json
.DELETE_ON_ERROR:
.SECONDARY:

all: $(PROGRAMS:%=$(BUILD)/%) $(BUILD)/libwarder.so $(BUILD)/libwarder.a ## build programs and library

help: ## this list
	@awk -F':.*## ' '/^[a-z_.-]+:.*## / { printf "  %-22s %s\n", $$1, $$2 }' Makefile

deps: ## install missing packages (Debian 12, root)
	$(Q)dist/install-deps

# ---------------------------------------------------------------------- BPF
$(BUILD)/bpf/%.bpf.o: bpf/%.bpf.c $(wildcard bpf/*.h) vmlinux.h include/warder_abi.h include/warder_decide.h
	@mkdir -p $(@D)
	$(call msg,BPF,$@) $(BPF_CC) $(BPF_CFLAGS) -c $< -o $@

# Both files share maps: linked into one object, one skeleton.
$(BUILD)/bpf/warder.o: $(BPF_OBJ)
	$(call msg,BPFLINK,$@) $(BPFTOOL) gen object $@ $(BPF_OBJ)

$(SKELETON): $(BUILD)/bpf/warder.o
	$(call msg,SKEL,$@) $(BPFTOOL) gen skeleton $< name warder_bpf > $@

$(BUILD)/bpf/tests/%.bpf.o: tests/kernel/%.bpf.c $(wildcard bpf/*.h) vmlinux.h include/warder_abi.h include/warder_decide.h
	@mkdir -p $(@D)
	$(call msg,BPF,$@) $(BPF_CC) $(BPF_CFLAGS) -Itests/kernel -c $< -o $@

$(BUILD)/%.skel.h: $(BUILD)/bpf/tests/%.bpf.o
	$(call msg,SKEL,$@) $(BPFTOOL) gen skeleton $< name $* > $@

# ------------------------------------------------------------- user space
$(BUILD)/obj/loader.o: $(SKELETON)

$(BUILD)/obj/%.o: user/%.c
	@mkdir -p $(@D)
	$(call msg,CC,$@) $(CC) $(ALL_CFLAGS) -MMD -MP -c $< -o $@

# Everything, for programs and tests; libwarder.so exports only what warder.h declares.
$(BUILD)/libwarder.a: $(LIB_OBJ)
	$(call msg,AR,$@) rm -f $@ && ar rcs $@ $^

$(BUILD)/libwarder.so: $(LIB_OBJ)
	$(call msg,LD,$@) $(CC) -shared -Wl,-soname,libwarder.so.0 $(LDFLAGS) $^ $(LDLIBS) -o $@

$(BUILD)/warder: $(BUILD)/obj/main.o $(BUILD)/libwarder.a
	$(call msg,LD,$@) $(CC) $(LDFLAGS) $^ $(LDLIBS) -o $@

$(BUILD)/warderd: $(BUILD)/obj/warderd.o $(BUILD)/libwarder.a
	$(call msg,LD,$@) $(CC) $(LDFLAGS) $^ $(LDLIBS) -o $@

# -------------------------------------------------------------------- tests
$(BUILD)/tests/unit/%: tests/unit/%.c $(PROBE_SKEL) $(BUILD)/libwarder.a
	@mkdir -p $(@D)
	$(call msg,TEST,$@) $(CC) $(ALL_CFLAGS) -Itests/unit -Itests/kernel -MMD -MP -MF $@.d $(LDFLAGS) $< $(BUILD)/libwarder.a -lcmocka $(LDLIBS) -o $@

$(BUILD)/tests/kernel/%.o: tests/kernel/%.c
	@mkdir -p $(@D)
	$(call msg,CC,$@) $(CC) $(ALL_CFLAGS) -Itests/kernel -MMD -MP -c $< -o $@

$(BUILD)/tests/kernel/%: tests/kernel/%.c $(KHELP_OBJ) $(BUILD)/libwarder.a
	@mkdir -p $(@D)
	$(call msg,TEST,$@) $(CC) $(ALL_CFLAGS) -Itests/kernel -MMD -MP -MF $@.d $(LDFLAGS) $< $(KHELP_OBJ) $(BUILD)/libwarder.a -lcmocka $(LDLIBS) -o $@

clean: ## remove build/
	rm -rf $(BUILD)

compile_commands.json: ## for clangd and clang-tidy
	$(Q){ printf '[\n'; sep=; for f in $(LIB_SRC) user/main.c user/warderd.c; do \
	  printf '%s{"directory":"%s","file":"%s","command":"$(CC) $(subst ",\\",$(ALL_CFLAGS)) -c %s"}' "$$sep" "$(CURDIR)" "$$f" "$$f"; sep=',\n'; done; printf '\n]\n'; } > $@

-include $(wildcard $(BUILD)/obj/*.d $(BUILD)/tests/unit/*.d $(BUILD)/tests/kernel/*.d)
