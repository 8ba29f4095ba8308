//go:build tools

// Package tools pins crane, with which images are pushed to a registry.
package tools

import _ "github.com/google/go-containerregistry/cmd/crane"
