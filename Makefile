# kubectl-intercept. `make help` lists the targets.

GO      ?= go
VERSION := $(shell sed -n 's/^var Version = "\(.*\)"/\1/p' manager/version/version.go)
KUBE    := v1.36.3
SUDO    := $(shell [ "$$(id -u)" = 0 ] || echo sudo)

# Debian packages that the embedded cluster consists of.
DEPS := containerd runc containernetworking-plugins nftables iptables conntrack iproute2
# What the tests of netd run, and what of it must not be installed: Debian's
# systemd-resolved would take the machine's /etc/resolv.conf.
DEPS     += dbus-daemon libsystemd-shared
UNPACKED := systemd-resolved libsystemd-shared
# What the tests run on laptops and in pods, and the libraries of these.
TOOLS := curl libcurl4 libbrotli1 librtmp1 libssh2-1 libpsl5 libnghttp2-14 \
         bind9-dnsutils bind9-libs libuv1 libjemalloc2 libmaxminddb0 libfstrm0 liblmdb0 \
         libprotobuf-c1 libjson-c5 libedit2 libbsd0 libmd0 libxml2 libicu72 \
         iputils-ping libcap2 libidn2-0 libunistring2 iperf3 libiperf0 libsctp1 \
         postgresql-15 postgresql-client-15 libpq5 libldap-2.5-0 libsasl2-2 libpam0g libaudit1 \
         libcap-ng0 liblz4-1 libzstd1 libsystemd0 libgcrypt20 libgpg-error0 libreadline8 libtinfo6 \
         libkrb5-3 libgssapi-krb5-2 libk5crypto3 libkrb5support0 libkeyutils1 libcom-err2 \
         libgnutls30 libp11-kit0 libtasn1-6 libnettle8 libhogweed6 libgmp10 libffi8 \
         libssl3 liblzma5 zlib1g libstdc++6 libgcc-s1
# Applications and callers that speak HTTP, and the libraries of these.
TOOLS += nginx apache2-bin libapr1 libaprutil1 libuuid1 libexpat1 libdb5.3 libcrypt1 libpcre2-8-0 libjansson4 \
         haproxy liblua5.3-0 libopentracing1 libopentracing-c-wrapper0 \
         python3.11-minimal libpython3.11-minimal libpython3.11-stdlib libbz2-1.0 python3-pkg-resources \
         python3-gunicorn python3-websockets \
         nodejs libnode108 libc-ares2 node-acorn node-busboy node-cjs-module-lexer node-undici node-xtend \
         nghttp2-client nghttp2-server libev4 wrk libluajit-5.1-2
# What reads files with the environment of a container.
TOOLS += tcsh zsh python3-dotenv
# Runs containers on laptops. The C library is the machine's.
PODMAN := podman conmon crun netavark golang-github-containers-common golang-github-containers-image \
          libdevmapper1.02.1 libgpgme11 libsubid4 libseccomp2 libassuan0 libyajl2 libglib2.0-0 libsystemd0 libgpg-error0 \
          libcap2 libselinux1 libudev1 libpcre2-8-0 liblz4-1 libzstd1 liblzma5 libgcrypt20
# Reads the traffic-manager's metrics. The C library is the machine's.
PROMETHEUS := prometheus
# A browser, the libraries that it names, and a font.
BROWSER := chromium-headless-shell chromium-common fonts-dejavu-core \
           libasound2 libasyncns0 libatk1.0-0 libatspi2.0-0 libblkid1 libbrotli1 libbsd0 libcap2 libdav1d6 libdbus-1-3 \
           libdouble-conversion3 libdrm2 libexpat1 libffi8 libflac12 libfontconfig1 libfreetype6 libgbm1 libgcc-s1 \
           libgcrypt20 libglib2.0-0 libgpg-error0 libgraphite2-3 libharfbuzz-subset0 libharfbuzz0b libjpeg62-turbo \
           liblcms2-2 liblz4-1 liblzma5 libmd0 libminizip1 libmount1 libmp3lame0 libmpg123-0 libnspr4 libnss3 libogg0 \
           libopenh264-7 libopenjp2-7 libopus0 libpcre2-8-0 libpng16-16 libpulse0 libselinux1 libsndfile1 libsqlite3-0 \
           libstdc++6 libsystemd0 libudev1 libuuid1 libvorbis0a libvorbisenc2 libwayland-server0 libx11-6 libx11-xcb1 libxau6 \
           libxcb1 libxcomposite1 libxdamage1 libxdmcp6 libxext6 libxfixes3 libxi6 libxkbcommon0 libxnvctrl0 libxrandr2 \
           libxrender1 libzstd1 zlib1g

# Builds and images show how far they are and keep what they print in bin/logs;
# make V=1 shows everything.
V       ?=
STEP    := $(if $(V),,@)test/step.sh
export V

# build makes a program: name, folder of the module, linker flags, package, other flags.
build = $(STEP) $(1) env CGO_ENABLED=0 $(GO) build -C $(2) -v -trimpath $(5) -ldflags '-s -w $(3)' -o $(CURDIR)/bin/$(1) $(4)
# The product's programs are linked without gRPC's pages for debugging. Their templates keep
# the linker from leaving out unused methods, which are a sixth of the agent.
PRODUCT := -tags grpcnotrace
KUBEVER := -X k8s.io/component-base/version.gitVersion=$(KUBE) \
           -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=36 \
           -X k8s.io/client-go/pkg/version.gitVersion=$(KUBE)
REPO    := kubectl-intercept.dev

# image makes an archive in bin/images: its name, its tag, and the arguments of
# krew/image.
image = $(STEP) image-$(notdir $(1)) $(GO) run ./krew/image -name $(REPO)/$(1):$(2) $(3) -o bin/images/$(notdir $(1)).tar

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: deps
deps: ## Install the Debian packages that demo and test need
	@GO="$(GO)" test/deps.sh $(DEPS) $(if $(shell command -v npm),,npm)
	@test/unpack.sh bin/debian $(UNPACKED)
	@test/unpack.sh bin/tools $(TOOLS)
	@test/unpack.sh bin/browser $(BROWSER)
	@test/unpack.sh bin/podman $(PODMAN)
	@test/unpack.sh bin/prometheus $(PROMETHEUS)

.PHONY: build
build: bin/cluster bin/coredns bin/pause programs ## Build every binary into bin/

.PHONY: programs
programs:
	$(call build,kubectl-intercept,.,,./plugin,$(PRODUCT))
	$(call build,intercept-netd,.,-X main.version=$(VERSION),./netd,$(PRODUCT))
	$(call build,traffic-manager,.,,./manager,$(PRODUCT))
	$(call build,traffic-agent,.,,./agent,$(PRODUCT))
	$(call build,quote,.,,./test/quote)
	$(call build,mesh,.,,./test/mesh)
	$(call build,health,.,,./test/health)
	$(call build,site,.,,./test/http/site)

# The whole of Kubernetes.
CLUSTER_FILES := $(shell find test/cluster -name '*.go' -o -name 'go.*' -o -name '*.yaml' 2>/dev/null)
bin/cluster: $(CLUSTER_FILES)
	@echo "Compiling Kubernetes from source: about 15 minutes on 2 cores the first time"
	$(call build,cluster,test/cluster,$(KUBEVER),.)
	@ln -sf cluster bin/kubectl
bin/coredns: $(CLUSTER_FILES)
	$(call build,coredns,test/cluster/coredns,,.)
bin/pause: $(CLUSTER_FILES)
	$(call build,pause,test/cluster,,./pause)

.PHONY: images
images: build ## Make the container images as archives in bin/images/
	@mkdir -p bin/images
	$(call image,traffic-manager,$(VERSION),-binary bin/traffic-manager)
	$(call image,traffic-agent,$(VERSION),-binary bin/traffic-agent -user 0:0)
	$(call image,test/quote,dev,-binary bin/quote)
	$(call image,test/mesh,dev,-binary bin/mesh)
	$(call image,test/pause,dev,-binary bin/pause)
	$(call image,test/coredns,dev,-binary bin/coredns -user 0:0)

# Not in bin/images/, which every cluster loads: only one test wants it.
bin/tools.tar: deps programs test/tools.sh test/image.sh
	$(STEP) image-tools env GO="$(GO)" test/tools.sh bin/tools bin/health $@
bin/apps.tar: deps programs bin/interop/server test/apps.sh test/image.sh $(wildcard test/http/apps/*)
	$(STEP) image-apps env GO="$(GO)" test/apps.sh bin/tools bin/site bin/interop/server $@

# The client and the server with which implementations of gRPC test one another.
bin/interop/server: test/interop/go.mod test/interop/go.sum
	@mkdir -p bin/interop
	$(call build,interop/server,test/interop,,google.golang.org/grpc/interop/server)
	$(call build,interop/client,test/interop,,google.golang.org/grpc/interop/client)

# What docker and docker compose read env files with, and Node's dotenv.
READERS := test/environment/readers
bin/environment/readers: $(READERS)/main.go $(READERS)/go.mod $(READERS)/go.sum
	@mkdir -p bin/environment
	$(call build,environment/readers,$(READERS),,.)
bin/environment/node_modules: test/environment/package.json test/environment/package-lock.json
	@command -v npm >/dev/null || { echo "npm is not installed, from which a test takes the package dotenv: see https://nodejs.org" >&2; exit 1; }
	@mkdir -p bin/environment && cp $^ bin/environment
	$(STEP) npm-dotenv npm --prefix bin/environment ci --ignore-scripts --no-audit --no-fund
	@touch $@

# Argo Rollouts, which one test runs: its controller, and the manifests it comes with.
ARGO := github.com/argoproj/argo-rollouts
bin/rollouts/image.tar: test/rollouts/go.mod test/rollouts/go.sum
	@mkdir -p bin/rollouts
	$(call build,rollouts/controller,test/rollouts,,$(ARGO)/cmd/rollouts-controller)
	@cat "$$(cd test/rollouts && $(GO) list -m -f '{{.Dir}}' $(ARGO))/manifests/install.yaml" >bin/rollouts/install.yaml
	$(STEP) image-rollouts $(GO) run ./krew/image -name $(REPO)/test/rollouts:dev -binary bin/rollouts/controller -o $@

# krew, its check of manifests, and a check of the SBOM: one test wants them.
bin/krew/%: test/krew/go.mod test/krew/go.sum $(wildcard test/krew/*/*.go)
	@mkdir -p bin/krew
	$(call build,krew/$*,test/krew,,$(KREW_$*))
KREW_kubectl-krew           := sigs.k8s.io/krew/cmd/krew
KREW_validate-krew-manifest := sigs.k8s.io/krew/cmd/validate-krew-manifest
KREW_validate-sbom          := ./validate-sbom
KREW := $(addprefix bin/krew/,kubectl-krew validate-krew-manifest validate-sbom)

.PHONY: chart
chart: ## Package the Helm chart into bin/
	$(GO) run ./chart/pack -o bin

# What a release is for, and what goes into each platform's folder: the plugin with
# intercept-netd beside it, and for Linux what the images have.
PLATFORMS := linux_amd64 linux_arm64 darwin_amd64 darwin_arm64 windows_amd64 windows_arm64
RELEASE    = $(patsubst v%,%,$(VERSION))
# Revision and time of the release. Whoever builds it from an archive of the source says both.
COMMIT            ?= $(shell git rev-parse HEAD 2>/dev/null)
SOURCE_DATE_EPOCH ?= $(shell git log -1 --format=%ct 2>/dev/null || echo 0)
# Everything that the bytes of a program depend on is said here, except the version of Go.
MODULE := github.com/kubectl-intercept/kubectl-intercept
STAMP   = -X $(MODULE)/manager/version.Version=$(RELEASE) -X $(MODULE)/manager/version.commit=$(COMMIT)
cross   = $(STEP) release/$*/$(1) env GOOS=$(word 1,$(subst _, ,$*)) GOARCH=$(word 2,$(subst _, ,$*)) GOAMD64=v1 GOARM64=v8.0 CGO_ENABLED=0 \
          $(GO) build -v -trimpath -buildvcs=false $(PRODUCT) -ldflags '-s -w $(3)' -o $(CURDIR)/bin/release/$*/$(1)$(if $(filter windows_%,$*),.exe) $(2)

.PHONY: release
release: committed ## Archives, images, chart, SBOM and checksums in dist/: make release VERSION=v1.2.3
	@rm -rf dist bin/release
	@$(MAKE) --no-print-directory $(addprefix release-,$(PLATFORMS))
	$(GO) run -ldflags '$(STAMP)' ./chart/pack -o dist
	$(GO) run ./krew/release -version v$(RELEASE) -commit "$(COMMIT)" -time $(SOURCE_DATE_EPOCH) -registry $(REPO) -binaries bin/release -o dist

.PHONY: $(addprefix release-,$(PLATFORMS))
$(addprefix release-,$(PLATFORMS)): release-%:
	$(call cross,kubectl-intercept,./plugin,$(STAMP))
	$(call cross,intercept-netd,./netd,-X main.version=$(RELEASE))
	$(if $(filter linux_%,$*),$(call cross,traffic-manager,./manager,$(STAMP)))
	$(if $(filter linux_%,$*),$(call cross,traffic-agent,./agent,$(STAMP)))

.PHONY: version
version: ## Print the version of the source
	@echo $(VERSION)

# A release has a revision, so that everybody can build it again.
.PHONY: committed
committed:
	@[ -z "$$(git status --porcelain 2>/dev/null)" ] || { echo "make release: commit these changes first, or put them aside with git stash:" >&2; git status --short >&2; exit 1; }

.PHONY: generate
generate: ## Generate deepcopy functions, CRDs and the control protocol
	$(GO) tool controller-gen object paths=./manager/api/...
	$(GO) tool controller-gen crd paths=./manager/api/... output:crd:dir=chart/files/crds
	cd manager/rpc && $(GO) run ./gen agent.proto
	cd manager/rpc/process && $(GO) run ../gen process.proto

# What runs on laptops: its tests run on Linux, macOS and Windows.
CLIENT := ./chart/... ./krew/... ./manager/api/... ./manager/match/... ./manager/rpc/... ./manager/tunnel/... ./manager/version ./netd/... ./plugin/...
# Tests with this tag need root.
ROOTFUL := ./agent/... ./netd/... ./manager/tunnel/dialed ./plugin/inside ./plugin/session/files/... ./plugin/session/nameserver

.PHONY: lint
lint: ## Check formatting, vet and the linters
	@out=$$(gofmt -l agent chart krew manager netd plugin test); [ -z "$$out" ] || { echo "not formatted:"; echo "$$out"; exit 1; }
	$(GO) vet ./...
	$(GO) vet -tags rootful $(ROOTFUL)
	$(GO) vet -tags e2e ./test/e2e/... ./test/fault ./test/environment
	$(GO) tool staticcheck ./...

# Lint has vetted what is tested: with the race detector, go vet would read all that it imports
# a second time.
TESTED := test -vet=off

# What starts no goroutine of its own. With the race detector, Helm and the API server's
# library would be compiled a second time for it.
ALONE := chart krew test/repo
.PHONY: unit
unit: ## Unit tests and repo rules; Linux
	$(GO) $(TESTED) -race $$($(GO) list ./... $(foreach f,$(ALONE),| grep -v /kubectl-intercept/$(f)))
	$(GO) $(TESTED) $(foreach f,$(ALONE),./$(f)/...)
	cd test/cluster && CGO_ENABLED=0 $(GO) test -trimpath ./plan ./pki ./config

.PHONY: unit-client
unit-client: ## Unit tests of what runs on laptops; Linux, macOS, Windows
	$(GO) test $(CLIENT)

# The logs of a test that failed are long. Its errors come once more at the end.
.PHONY: e2e
e2e: SHELL = bash
e2e: deps images bin/tools.tar bin/apps.tar bin/rollouts/image.tar bin/environment/readers bin/environment/node_modules $(KREW) ## End-to-end tests on the embedded cluster (Linux, root)
	$(SUDO) env "PATH=$$PATH" $(GO) $(TESTED) -count=1 -tags rootful -timeout 10m $(ROOTFUL)
	cd test/cluster && $(SUDO) env "PATH=$$PATH" CGO_ENABLED=0 $(GO) test -trimpath -count=1 -timeout 10m ./e2e
	$(GO) $(TESTED) -count=1 -tags e2e -timeout 10m ./test/environment
	set -o pipefail; $(SUDO) env "PATH=$$PATH" $(GO) $(TESTED) -count=1 -tags e2e -parallel 2 -timeout 75m ./test/e2e/... 2>&1 | tee bin/e2e.log || \
		{ echo "--- What failed, without logs:"; grep -E '^ *(--- FAIL|panic:|[a-z0-9_]+_test\.go:[0-9]+:)' bin/e2e.log | grep -vE ':[0-9]+: ([a-z0-9-]+\$$|---|===) ' | cut -c1-600; exit 1; }

.PHONY: test
test: lint unit e2e ## All tests (Linux, root)

# The cluster stays, so that the next test begins at once.
CLUSTER ?= try
.PHONY: try named
try: named images $(KREW) ## One end-to-end test on a cluster that stays: make try TEST=TestMainJob
	$(SUDO) env "PATH=$$PATH" E2E_KEEP=1 E2E_CLUSTER=$(CLUSTER) $(GO) test -count=1 -tags e2e -parallel 1 -timeout 10m -v -run '^($(TEST))$$' ./test/e2e
named:
	@[ -n "$(TEST)" ] || { echo "Which test? make try TEST=REGEXP; make try-list names them" >&2; exit 1; }

.PHONY: try-list
try-list: ## Names of the end-to-end tests
	@sed -n 's/^func \(Test[A-Z][A-Za-z0-9]*\)(t .*/\1/p' test/e2e/*_test.go | sort

.PHONY: try-down
try-down: ## Remove the cluster of make try
	$(SUDO) bin/cluster down --name $(CLUSTER)

.PHONY: bench
bench: deps images bin/apps.tar ## Measure against kubectl port-forward, nginx, HAProxy, kubectl cp and sshfs, in one run
	@test/unpack.sh bin/sshfs sshfs libfuse3-3 libglib2.0-0 libpcre2-8-0
	$(SUDO) env "PATH=$$PATH" $(GO) run ./test/bench

# FAULT is for the suite: make fault FAULT="-times 5 -only 'agent|session' -json faults.json"
.PHONY: fault
fault: deps images ## Inject every fault under load, 100 times each, and count what is lost (hours)
	$(SUDO) env "PATH=$$PATH" $(GO) $(TESTED) -count=1 -tags e2e -timeout 48h -v ./test/fault -run TestFaults -args $(FAULT)

.PHONY: demo
demo: about deps images ## Show the main job on an embedded cluster
	@$(SUDO) env "PATH=$$PATH" test/demo.sh

.PHONY: about
about:
	@test/demo.sh about

.PHONY: cluster-up
cluster-up: deps images ## Start the embedded cluster "demo"
	$(SUDO) bin/cluster up

.PHONY: cluster-down
cluster-down: ## Stop it and remove every trace
	$(SUDO) bin/cluster down
