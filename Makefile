# The commands of the README. `make run` and `make test` set up what they need by themselves.

PREFIX ?= /usr
DESTDIR ?=
CARGO ?= cargo

# What `install` installs; a program that was built elsewhere: make install BINARY=path
BINARY := target/release/jailwarden
built := target/release/jailwarden
# Of what is packed: 8 MiB.
most := 8388608
bindir := $(DESTDIR)$(PREFIX)/bin
unitdir := $(DESTDIR)$(PREFIX)/lib/systemd/system
catalogdir := $(DESTDIR)$(PREFIX)/lib/systemd/catalog
sysusersdir := $(DESTDIR)$(PREFIX)/lib/sysusers.d
sharedir := $(DESTDIR)$(PREFIX)/share
docdir := $(sharedir)/doc/jailwarden
# Debian's zsh looks elsewhere than all others.
zshdir := $(sharedir)/zsh/$(if $(wildcard /etc/debian_version),vendor-completions,site-functions)
settings := $(DESTDIR)/etc/jailwarden/jailwarden.yaml

# Of systemd/; the scripts in the packages take theirs from what is installed.
units := jailwarden.service jailwarden@.service

.PHONY: run test flakes bench plots faults soak fuzz mutants coverage build lint audit msrv minimal install uninstall deb rpm

run:
	scripts/setup run
	$(CARGO) build --locked
	scripts/demo

# JAILWARDEN_ALL=1: also those that are ignored since they take minutes more, and other random cases.
test: every := $(filter 1,$(JAILWARDEN_ALL))
test: seed = $(if $(every),PROPTEST_RNG_SEED=$$(date +%s))
test:
	scripts/setup test
	$(if $(every),scripts/setup packages)
	if command -v cargo-nextest >/dev/null; \
	then $(seed) $(CARGO) nextest run --locked $(if $(every),--run-ignored all); \
	else $(seed) $(CARGO) test --locked $(if $(every),-- --include-ignored --skip in_a_process_of_its_own); fi

# All tests, twenty times in a row on a machine that is loaded, in three hours: make flakes RUNS=4
RUNS ?= 20
flakes:
	scripts/flakes $(RUNS)

# All of docs/performance.md, in about an hour. Some of it: make bench BENCH='check stream'; another
# fail2ban: JAILWARDEN_BENCH_FAIL2BAN=1.1.1; whether they still run: JAILWARDEN_BENCH=smoke.
BENCH ?=
bench:
	scripts/setup test
	scripts/setup faults
	$(CARGO) bench --locked --bench tables -- $(BENCH)

# The plots of docs/performance.md, of the figures that JAILWARDEN_WRITE_DOCS=1 make bench has kept.
plots:
	JAILWARDEN_WRITE_DOCS=1 $(CARGO) bench --locked --profile dev --bench tables -- plots

# All of docs/comparison.md, in about 80 minutes; some rows: make faults ONLY='hang'; some cells: ONLY='hang monit'
ONLY ?=
faults:
	scripts/setup faults
	$(CARGO) bench --locked --profile dev --bench faults -- $(ONLY)

# All of docs/soak.md, in two hours; for a shorter time, in the order of a seed, and only some of what befalls the
# host: make soak MINUTES=10 SEED=7 ONLY='flushed'
MINUTES ?= 120
SEED ?=
soak: build
	scripts/setup test
	JAILWARDEN_BINARY=$(CURDIR)/$(BINARY) $(CARGO) bench --locked --profile dev --bench soak -- \
	    minutes=$(MINUTES) $(SEED:%=seed=%) $(ONLY)

# Ten minutes of each target in fuzz/. One of them, or for as long: make fuzz TARGET=http SECONDS=60
TARGET ?= all
SECONDS ?= 600
fuzz:
	scripts/fuzz $(TARGET) $(SECONDS)

# What no test of src/machine would notice, and docs/mutants.md gives no reason for, in a few hours; in some files:
# make mutants ONLY='restart words/config'; of these only what survived before: MORE=1
mutants:
	scripts/setup mutants
	scripts/mutants $(ONLY)

# Which lines the library's own tests run, in some minutes. What drives a real daemon is tested by programs that
# mostly end by a signal, and is not counted.
coverage:
	scripts/setup coverage
	PATH="$(CURDIR)/target/tools/bin:$$PATH" $(CARGO) tarpaulin --engine llvm --lib --locked --skip-clean \
	    --target-dir target/coverage --timeout 600 --out Stdout --exclude-files '*/tests/*' '*/tests.rs'

build: $(built)

$(built): $(shell find src -type f) Cargo.toml Cargo.lock
	$(CARGO) build --release --locked --target-dir target
	touch $@

lint:
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- -D warnings
	$(CARGO) deny check bans licenses sources

# Of the advisories on crates in Cargo.lock (rustsec.org) none may apply; it takes the net.
audit:
	$(CARGO) deny check advisories

# It builds with the oldest Rust that Cargo.toml names, which rustup gets.
msrv := $(shell sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
msrv:
	rustup toolchain install --profile minimal $(msrv)
	$(CARGO) +$(msrv) check --locked --all-targets --target-dir target/msrv

# It builds with the oldest dependencies that Cargo.toml allows. That option of cargo is not stable yet.
minimal: copy := target/minimal
minimal:
	mkdir -p $(copy)
	ln -sfn $(addprefix ../../,src tests benches config docs systemd) $(copy)
	cp Cargo.toml $(copy)
	cd $(copy) && RUSTC_BOOTSTRAP=1 $(CARGO) -Z direct-minimal-versions update
	cd $(copy) && $(CARGO) check --locked --target-dir ..

install: $(BINARY)
	install -D -m 755 $(BINARY) $(bindir)/jailwarden
	install -D -m 644 -t $(unitdir) $(units:%=systemd/%)
	sed -i 's|/usr/bin/jailwarden|$(PREFIX)/bin/jailwarden|; s|/usr/share/doc|$(PREFIX)/share/doc|' \
	    $(units:%=$(unitdir)/%)
	install -D -m 644 systemd/jailwarden.catalog $(catalogdir)/jailwarden.catalog
	install -D -m 644 systemd/jailwarden.sysusers $(sysusersdir)/jailwarden.conf
	umask 022 && $(BINARY) assets $(sharedir)
ifneq ($(zshdir),$(sharedir)/zsh/site-functions)
	install -d $(zshdir)
	mv $(sharedir)/zsh/site-functions/_jailwarden $(zshdir)/
	rmdir --ignore-fail-on-non-empty $(sharedir)/zsh/site-functions
endif
	install -D -m 644 -t $(docdir) README.md ARCHITECTURE.md CHANGELOG.md LICENSE-MIT LICENSE-APACHE
	install -D -m 644 -t $(docdir)/docs docs/*.md docs/*.svg docs/openapi.json docs/page.png
	install -D -m 755 -t $(docdir)/alerts config/alerts/*
	install -D -m 644 -t $(docdir)/prometheus config/prometheus/*
	install -D -m 644 -t $(docdir)/grafana config/grafana/*
	cp -R --preserve=mode config/ansible $(docdir)/
	test -e $(settings) || install -D -m 644 config/jailwarden.yaml $(settings)
ifeq ($(DESTDIR),)
	if command -v systemd-sysusers >/dev/null; then systemd-sysusers $(sysusersdir)/jailwarden.conf; fi
	if command -v journalctl >/dev/null; then journalctl --update-catalog; fi
	if [ -d /run/systemd/system ]; then systemctl daemon-reload; fi
	@echo 'Installed. To have fail2ban supervised from now on: systemctl enable --now jailwarden'
endif

# Settings and state stay: they are the admin's. What jailwarden has disabled stays so, which is said.
uninstall:
ifeq ($(DESTDIR),)
	if [ -d /run/systemd/system ]; then \
	    further=$$(cd /etc/systemd/system && ls *.wants | grep '^jailwarden@') || true; \
	    systemctl disable --now jailwarden $$further || true; \
	    systemctl stop 'jailwarden@*' || true; \
	fi
endif
	rm -f $(bindir)/jailwarden $(units:%=$(unitdir)/%) $(catalogdir)/jailwarden.catalog
	rm -f $(sysusersdir)/jailwarden.conf
	rm -f $(sharedir)/man/man1/jailwarden.1 $(sharedir)/man/man1/jailwarden-*.1
	rm -f $(sharedir)/bash-completion/completions/jailwarden $(zshdir)/_jailwarden
	rm -f $(sharedir)/fish/vendor_completions.d/jailwarden.fish
	rm -rf $(docdir)
ifeq ($(DESTDIR),)
	if command -v journalctl >/dev/null; then journalctl --update-catalog; fi
	if [ -d /run/systemd/system ]; then systemctl daemon-reload; fi
endif
	@. packaging/what-stands.sh; what_stands '$(DESTDIR)'

# The packages hold what `install` installs. DEB_FLAGS, VERSION, MAINTAINER: see scripts/package.
deb rpm: build
	@test $$(stat -c %s $(BINARY)) -le $(most) || { echo '$(BINARY) has more than $(most) bytes' >&2; exit 1; }
	scripts/setup $@
	scripts/package $@ $(BINARY) target/packages
