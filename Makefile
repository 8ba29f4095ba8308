# What a person types here. Each explains itself with --help.
.PHONY: help build test bench soak demo demo-down deps format
.DEFAULT_GOAL := help

help: ## this text
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

deps: ## install the Debian packages that everything below needs
	tools/install-deps

build: deps ## release programs in build/release/bin, libraries in build/release/lib
	cmake --preset release
	cmake --build --preset release

test: ## build and run everything that must never break (what CI runs)
	tools/test

bench: ## how fast what matters is: figures, never a test (tools/bench --help)
	tools/bench

soak: ## hours of kills, resumable (tools/soak --help)
	tools/soak

demo: ## a real Kubernetes on this machine with simulated cards, our chart and sample Pods
	demo/up

demo-down: ## stop and remove what the demo made
	demo/down

format: ## format every C++ file
	git ls-files '*.h' '*.cc' | xargs clang-format-16 -i
