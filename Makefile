# SPDX-License-Identifier: LGPL-2.1-or-later
# One makefile, all output in build/. `make help` lists the targets.

BUILD    ?= build
BPF_BUILD ?= $(BUILD)# of BPF objects and skeletons: variants of user space share them
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
CFLAGS   ?= $(if $(SANITIZE),-O1,-O2) -g
ALL_CFLAGS := -std=gnu17 -D_GNU_SOURCE $(CFLAGS) $(WARNINGS) $(if $(CI),-Werror) \
              -fno-strict-aliasing -fvisibility=hidden -fPIC -pthread -Iinclude -Iuser -I$(BPF_BUILD) \
              $(shell pkg-config --cflags $(PKGS) 2>/dev/null) \
              $(if $(SANITIZE),-fsanitize=address -fsanitize=undefined -fno-sanitize-recover=all)
LDLIBS   := $(shell pkg-config --libs $(PKGS) 2>/dev/null) -lkeyutils -lelf -lz -pthread
LDFLAGS  += $(if $(SANITIZE),-fsanitize=address -fsanitize=undefined)

# The target architecture's headers are not clang's for BPF, hence -idirafter.
BPF_CFLAGS := -target bpf -D__TARGET_ARCH_x86 -mcpu=v3 -O2 -g -Wall -Wextra -Werror \
              -Wno-unused-parameter -Wno-missing-declarations \
              -Iinclude -Ibpf -I. -idirafter /usr/include/x86_64-linux-gnu

# ------------------------------------------------------------------ sources
# user/main.c, user/warderd.c, user/request_key.c, user/fusermount.c and user/sign.c are the programs;
# all else is the library.
PROGRAMS  := warder warderd warder-request-key warder-fusermount warder-sign
LIB_SRC   := $(filter-out user/main.c user/warderd.c user/request_key.c user/sign.c user/fusermount.c,$(wildcard user/*.c))
LIB_OBJ   := $(LIB_SRC:user/%.c=$(BUILD)/obj/%.o)
SKELETON  := $(BPF_BUILD)/warder.skel.h
BPF_OBJ   := $(patsubst bpf/%.bpf.c,$(BPF_BUILD)/bpf/%.bpf.o,$(wildcard bpf/*.bpf.c))
PROBE_SRC := $(wildcard tests/kernel/*.bpf.c)
PROBE_SKEL := $(PROBE_SRC:tests/kernel/%.bpf.c=$(BPF_BUILD)/%.skel.h)
UNIT      := $(patsubst tests/unit/%.c,$(BUILD)/tests/unit/%,$(wildcard tests/unit/test_*.c))
KTEST     := $(patsubst tests/kernel/%.c,$(BUILD)/tests/kernel/%,$(wildcard tests/kernel/test_*.c))
KHELP_OBJ := $(patsubst tests/kernel/%.c,$(BUILD)/tests/kernel/%.o,$(filter-out $(wildcard tests/kernel/test_*.c tests/kernel/*.bpf.c),$(wildcard tests/kernel/*.c)))


.PHONY: all help deps tests check check-all check-unit check-vm check-vmlinux check-style check-docs check-keyutils check-krb5 demo bench bench-build bench-latency \
        unit-tests check-suites fuzz fuzz-targets clean install kernels compile_commands.json
.DELETE_ON_ERROR:
.SECONDARY:

all: $(PROGRAMS:%=$(BUILD)/%) $(BUILD)/libwarder.so $(BUILD)/libwarder.a ## build programs and library

help: ## this list
	@awk -F':.*## ' '/^[a-z_.-]+:.*## / { printf "  %-22s %s\n", $$1, $$2 }' Makefile

deps: ## install missing packages (Debian 12, root)
	$(Q)dist/install-deps

# ---------------------------------------------------------------------- BPF
$(BPF_BUILD)/bpf/%.bpf.o: bpf/%.bpf.c $(wildcard bpf/*.h) vmlinux.h $(wildcard include/warder_*.h)
	@mkdir -p $(@D)
	$(call msg,BPF,$@) $(BPF_CC) $(BPF_CFLAGS) -c $< -o $@

# Both files share maps: linked into one object, one skeleton.
$(BPF_BUILD)/bpf/warder.o: $(BPF_OBJ)
	$(call msg,BPFLINK,$@) $(BPFTOOL) gen object $@ $(BPF_OBJ)

$(SKELETON): $(BPF_BUILD)/bpf/warder.o
	$(call msg,SKEL,$@) $(BPFTOOL) gen skeleton $< name warder_bpf > $@

$(BPF_BUILD)/bpf/tests/%.bpf.o: tests/kernel/%.bpf.c $(wildcard tests/kernel/*.h bpf/*.h) vmlinux.h $(wildcard include/warder_*.h)
	@mkdir -p $(@D)
	$(call msg,BPF,$@) $(BPF_CC) $(BPF_CFLAGS) -Itests/kernel -c $< -o $@

$(BPF_BUILD)/%.skel.h: $(BPF_BUILD)/bpf/tests/%.bpf.o
	$(call msg,SKEL,$@) $(BPFTOOL) gen skeleton $< name $* > $@

# ------------------------------------------------------------- user space
$(BUILD)/obj/loader_pin.o: $(SKELETON)

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

# It alone needs libcrypto.
$(BUILD)/warder-sign: $(BUILD)/obj/sign.o $(BUILD)/libwarder.a
	$(call msg,LD,$@) $(CC) $(LDFLAGS) $^ $(LDLIBS) -lcrypto -o $@

# Static and small: the kernel starts it for each upcall. Without sanitizers, which would be neither.
$(BUILD)/warder-request-key: user/request_key.c user/upcall.c include/clock.h include/upcall.h include/request_key.h $(wildcard include/warder_*.h)
	@mkdir -p $(@D)
	$(call msg,LD,$@) $(CC) -std=gnu17 -D_GNU_SOURCE -Os $(WARNINGS) $(if $(CI),-Werror) -fno-strict-aliasing \
	  -Iinclude -static -Wl,--gc-sections -ffunction-sections user/request_key.c user/upcall.c -o $@

# Static as well: it runs in a root that has hardly anything.
$(BUILD)/warder-fusermount: user/fusermount.c
	@mkdir -p $(@D)
	$(call msg,LD,$@) $(CC) -std=gnu17 -D_GNU_SOURCE -Os $(WARNINGS) $(if $(CI),-Werror) -static $< -o $@

# -------------------------------------------------------------------- tests
# In a VM it is in /usr/local/bin.
TESTFUSE := $(BUILD)/vm-bin/testfuse
$(TESTFUSE): tests/fuse/testfuse.c
	@mkdir -p $(@D)
	$(call msg,TEST,$@) $(CC) -std=gnu17 -D_GNU_SOURCE -Os $(WARNINGS) $(if $(CI),-Werror) -static $< -o $@

# Fixtures hand string literals to a child as its `void *`.
TEST_CFLAGS := $(filter-out -Wwrite-strings,$(ALL_CFLAGS))

$(BUILD)/tests/unit/%: tests/unit/%.c $(PROBE_SKEL) $(BUILD)/libwarder.a
	@mkdir -p $(@D)
	$(call msg,TEST,$@) $(CC) $(TEST_CFLAGS) -Itests/unit -Itests/kernel -MMD -MP -MF $@.d $(LDFLAGS) $< $(BUILD)/libwarder.a -lcmocka $(LDLIBS) -o $@

$(BUILD)/tests/kernel/%.o: tests/kernel/%.c
	@mkdir -p $(@D)
	$(call msg,CC,$@) $(CC) $(TEST_CFLAGS) -Itests/kernel -MMD -MP -c $< -o $@

$(BUILD)/tests/kernel/%: tests/kernel/%.c $(KHELP_OBJ) $(BUILD)/libwarder.a
	@mkdir -p $(@D)
	$(call msg,TEST,$@) $(CC) $(TEST_CFLAGS) -Itests/kernel -MMD -MP -MF $@.d $(LDFLAGS) $< $(KHELP_OBJ) $(BUILD)/libwarder.a -lcmocka $(LDLIBS) -o $@

# Where the supervisor dies on purpose: only in this test. Its copies of these files come first.
FAULT_SRC := user/fault.c $(shell grep -l '"fault.h"' user/*.c)
FAULT_OBJ := $(sort $(FAULT_SRC:user/%.c=$(BUILD)/faults/%.o))

$(BUILD)/faults/%.o: user/%.c
	@mkdir -p $(@D)
	$(call msg,CC,$@) $(CC) $(ALL_CFLAGS) -DWARDER_FAULTS -MMD -MP -c $< -o $@

$(BUILD)/tests/kernel/test_faults $(BUILD)/tests/kernel/test_faults_notify: $(BUILD)/tests/kernel/%: tests/kernel/%.c $(KHELP_OBJ) $(FAULT_OBJ) $(BUILD)/libwarder.a
	@mkdir -p $(@D)
	$(call msg,TEST,$@) $(CC) $(TEST_CFLAGS) -DWARDER_FAULTS -Itests/kernel -MMD -MP -MF $@.d $(LDFLAGS) $< $(KHELP_OBJ) \
	  $(FAULT_OBJ) $(BUILD)/libwarder.a -lcmocka $(LDLIBS) -o $@

JOBS ?= $(shell nproc)
# The programs as tests see them, under sanitizers in a folder of their own.
check: deps ## unit tests (sanitizers), docs, kernel tests on 6.1 and the newest kernel
	$(Q)$(MAKE) --no-print-directory check-suites KERNELS="$(KERNELS)"

check-all: ## as check, on all four kernels
	$(Q)$(MAKE) --no-print-directory check KERNELS="6.1 6.12 6.18 latest"

check-suites: kernels
	$(Q)$(MAKE) --no-print-directory -j$(JOBS) all tests
	$(Q)$(MAKE) --no-print-directory -j$(JOBS) SANITIZE=1 BUILD=$(BUILD)/asan BPF_BUILD=$(BUILD) unit-tests
	$(Q)tests/check-style
	$(Q)tests/check-vmlinux
	$(Q)tests/bench/selftest
	$(Q)UNIT_BUILD=$(BUILD)/asan tests/run unit docs refusals $(KERNELS:%=vm:%)

# What the documents show as an example of a program.
$(BUILD)/examples/%_c: docs/examples/%.c
	@mkdir -p $(@D)
	$(call msg,CC,$@) $(CC) $(CFLAGS) $(WARNINGS) $(if $(CI),-Werror) $< -o $@

# Of the library only: what it does not export is not there.
$(BUILD)/examples/handler_lib: docs/examples/handler_lib.c $(BUILD)/libwarder.so include/warder.h
	@mkdir -p $(@D)
	$(Q)ln -sf ../libwarder.so $(@D)/libwarder.so.0
	$(call msg,CC,$@) $(CC) $(CFLAGS) $(WARNINGS) $(if $(CI),-Werror) -Iinclude $< $(BUILD)/libwarder.so \
	  -Wl,-rpath,'$$ORIGIN' -o $@

tests: $(KTEST) $(TESTFUSE) $(BUILD)/examples/handler_c $(BUILD)/examples/handler_lib ## build the kernel tests
unit-tests: $(UNIT) $(TESTFUSE) ## build the unit tests

check-unit: ## unit tests under sanitizers, natively
	$(Q)$(MAKE) --no-print-directory SANITIZE=1 BUILD=$(BUILD)/asan BPF_BUILD=$(BUILD) unit-tests
	$(Q)UNIT_BUILD=$(BUILD)/asan tests/run unit

check-vm: all tests ## kernel tests on KERNELS (default: 6.1 latest); KTESTS=test_file,... chooses
	$(Q)tests/run $(KERNELS:%=vm:%)

check-vmlinux: kernels ## does vmlinux.h agree with every kernel's BTF?
	$(Q)tests/check-vmlinux

# docs/FUZZING.md says more. What is found and kept is below build/fuzz/corpus.
FUZZ_SECONDS ?= 60
fuzz: ## fuzz what is read from outside, and the engine in BPF against itself, FUZZ_SECONDS each
	$(Q)dist/install-deps libclang-rt-16-dev
	$(Q)$(MAKE) --no-print-directory BUILD=$(BUILD)/fuzz CC=$(BPF_CC) SANITIZE=1 \
	  CFLAGS="-O1 -g -fsanitize=fuzzer-no-link" fuzz-targets
	$(Q)for t in $(FUZZ:$(BUILD)/%=$(BUILD)/fuzz/%); do n=$${t##*/fuzz_}; \
	  mkdir -p $(BUILD)/fuzz/corpus/$$n; d=tests/fuzz/$$n.dict; \
	  $$t $$(test ! -e $$d || echo -dict=$$d) -max_total_time=$(FUZZ_SECONDS) -print_final_stats=1 \
	    -verbosity=0 $(BUILD)/fuzz/corpus/$$n tests/fuzz/corpus/$$n || exit 1; done
	$(Q)$(MAKE) --no-print-directory $(BUILD)/tests/unit/test_decide_random
	$(Q)$(BUILD)/tests/unit/test_decide_random --seconds $(FUZZ_SECONDS)

FUZZ := $(patsubst tests/fuzz/%.c,$(BUILD)/tests/fuzz/%,$(wildcard tests/fuzz/fuzz_*.c))
fuzz-targets: $(FUZZ)
$(BUILD)/tests/fuzz/%: tests/fuzz/%.c $(BUILD)/libwarder.a
	@mkdir -p $(@D)
	$(call msg,FUZZ,$@) $(CC) $(ALL_CFLAGS) -fsanitize=fuzzer $(LDFLAGS) $< $(BUILD)/libwarder.a $(LDLIBS) -o $@

# Fetches the suite's source; KEYUTILS_KERNEL: which kernel.
check-keyutils: all ## keyutils' own tests, in a container as on the host (minutes; a VM)
	$(Q)BUILD=$(BUILD) tests/keyutils/run $(or $(KEYUTILS_KERNEL),6.12)

# Fetches the packages; KRB5_KERNEL: which kernel.
check-krb5: all ## Kerberos' ticket caches in keyrings, in containers and on the host (a minute; a VM)
	$(Q)BUILD=$(BUILD) tests/krb5/run $(or $(KRB5_KERNEL),6.12)

# Counts of instructions in VMs; tests/bench/README says how to choose kernels and configurations.
bench: deps ## instructions that warder and its peers add to system calls
	$(Q)$(MAKE) --no-print-directory bench-build
	$(Q)BUILD=$(BUILD) tests/bench/run
	$(Q)BUILD=$(BUILD) tests/bench/latency

bench-latency: bench-build ## how long callers wait for the supervisor's answers, as ratios
	$(Q)BUILD=$(BUILD) tests/bench/latency

bench-build: all $(BUILD)/bench/bench $(BUILD)/bench/drive $(BUILD)/bench/queue $(BUILD)/bench/latency $(BUILD)/bench/handshake

$(BUILD)/bench/bench $(BUILD)/bench/handshake: $(BUILD)/bench/%: tests/bench/%.c
	@mkdir -p $(@D)
	$(call msg,CC,$@) $(CC) -std=gnu17 -D_GNU_SOURCE -O2 $(WARNINGS) -static $< -o $@

$(BUILD)/bench/queue: tests/bench/queue.c $(BUILD)/libwarder.a
	@mkdir -p $(@D)
	$(call msg,CC,$@) $(CC) $(ALL_CFLAGS) $(LDFLAGS) $< $(BUILD)/libwarder.a $(LDLIBS) -o $@

$(BUILD)/bench/latency: tests/bench/latency.c $(KHELP_OBJ) $(SKELETON) $(BUILD)/libwarder.a
	@mkdir -p $(@D)
	$(call msg,CC,$@) $(CC) $(TEST_CFLAGS) -Itests/kernel $(LDFLAGS) $< $(KHELP_OBJ) $(BUILD)/libwarder.a -lcmocka $(LDLIBS) -o $@

$(BUILD)/bench/drive: tests/bench/drive.c $(KHELP_OBJ) $(SKELETON) $(BUILD)/libwarder.a
	@mkdir -p $(@D)
	$(call msg,CC,$@) $(CC) $(TEST_CFLAGS) -Itests/kernel $(LDFLAGS) $< $(KHELP_OBJ) $(BUILD)/libwarder.a -lcmocka $(LDLIBS) -o $@

check-style: ## SPDX lines, includes' directions, file lengths
	$(Q)tests/check-style

check-docs: all $(BUILD)/examples/handler_c ## every command in the README and the man pages runs
	$(Q)tests/run docs

demo: deps ## see it work (two minutes)
	$(Q)$(MAKE) --no-print-directory all
	$(Q)BUILD=$(BUILD) tests/demo/run

kernels: ## fetch the test kernels into the cache
	$(Q)for k in $(KERNELS); do tests/vm/fetch-kernel $$k || exit 1; done

install: all ## programs, library, header, man pages, policies below DESTDIR/PREFIX
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/lib $(DESTDIR)$(PREFIX)/include \
	           $(DESTDIR)$(PREFIX)/share/warder $(DESTDIR)$(PREFIX)/share/man/man8 \
	           $(DESTDIR)$(PREFIX)/share/man/man7 $(DESTDIR)$(PREFIX)/share/man/man5
	install -m 755 $(PROGRAMS:%=$(BUILD)/%) $(DESTDIR)$(PREFIX)/bin/
	install -m 644 $(BUILD)/libwarder.a $(DESTDIR)$(PREFIX)/lib/
	install -m 755 $(BUILD)/libwarder.so $(DESTDIR)$(PREFIX)/lib/libwarder.so.0
	ln -sf libwarder.so.0 $(DESTDIR)$(PREFIX)/lib/libwarder.so
	install -m 644 include/warder.h $(DESTDIR)$(PREFIX)/include/
	cp -r policies $(DESTDIR)$(PREFIX)/share/warder/
	install -m 644 $(wildcard docs/man/*.8) $(DESTDIR)$(PREFIX)/share/man/man8/
	install -m 644 $(wildcard docs/man/*.7) $(DESTDIR)$(PREFIX)/share/man/man7/
	install -m 644 $(wildcard docs/man/*.5) $(DESTDIR)$(PREFIX)/share/man/man5/

clean: ## remove build/
	rm -rf $(BUILD)

compile_commands.json: ## for clangd and clang-tidy
	$(Q){ sep='['; for f in $(LIB_SRC) user/main.c user/warderd.c; do \
	  printf '%s\n{"directory":"%s","file":"%s","command":"%s"}' "$$sep" "$(CURDIR)" "$$f" \
	    "$(CC) $(strip $(ALL_CFLAGS)) -c $$f"; sep=,; done; printf '\n]\n'; } > $@

-include $(wildcard $(BUILD)/obj/*.d $(BUILD)/faults/*.d $(BUILD)/tests/unit/*.d $(BUILD)/tests/kernel/*.d)
