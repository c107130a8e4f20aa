// Reads a layer as stargz-snapshotter's filesystem does, by its own fetcher, without mounting anything: every second chunk first,
// then all of it in one read, which asks for the chunks that are missing by one request of many ranges.
//
//	stargz-fetch URL REPOSITORY DIGEST SIZE CHUNK      prints what was read and asked, as JSON
package main

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"

	"github.com/containerd/containerd/v2/core/remotes/docker"
	"github.com/containerd/containerd/v2/pkg/reference"
	"github.com/containerd/stargz-snapshotter/cache"
	"github.com/containerd/stargz-snapshotter/fs/config"
	"github.com/containerd/stargz-snapshotter/fs/remote"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

type asked struct {
	Ranges int `json:"ranges"`
	Status int `json:"status"`
}

// listening notes the requests for ranges on their way.
type listening struct {
	mu   sync.Mutex
	seen []asked
}

func (l *listening) RoundTrip(request *http.Request) (*http.Response, error) {
	answer, err := http.DefaultTransport.RoundTrip(request)
	if line := request.Header.Get("Range"); line != "" && err == nil {
		l.mu.Lock()
		l.seen = append(l.seen, asked{strings.Count(line, ",") + 1, answer.StatusCode})
		l.mu.Unlock()
	}
	return answer, err
}

func run(base, repository, name string, size, chunk int64) error {
	server, err := url.Parse(base)
	if err != nil {
		return err
	}
	ears := &listening{}
	hosts := func(reference.Spec) ([]docker.RegistryHost, error) {
		return []docker.RegistryHost{{
			Client: &http.Client{Transport: ears}, Host: server.Host, Scheme: server.Scheme, Path: "/v2",
			Capabilities: docker.HostCapabilityPull | docker.HostCapabilityResolve,
		}}, nil
	}
	ref, err := reference.Parse(server.Host + "/" + repository + "@" + name)
	if err != nil {
		return err
	}
	resolver := remote.NewResolver(config.BlobConfig{ChunkSize: chunk, MaxRetries: 1}, nil)
	layer := ocispec.Descriptor{Digest: digest.Digest(name), Size: size}
	blob, err := resolver.Resolve(context.Background(), hosts, ref, layer, cache.NewMemoryCache())
	if err != nil {
		return err
	}
	defer blob.Close()
	for at := int64(0); at < size; at += 2 * chunk {
		if _, err := blob.ReadAt(make([]byte, min(chunk, size-at)), at); err != nil {
			return fmt.Errorf("the chunk at %d: %w", at, err)
		}
	}
	singly := len(ears.seen)
	all := make([]byte, size)
	if _, err := blob.ReadAt(all, 0); err != nil {
		return fmt.Errorf("what was missing: %w", err)
	}
	return json.NewEncoder(os.Stdout).Encode(map[string]any{
		"digest": fmt.Sprintf("sha256:%x", sha256.Sum256(all)), "singly": singly, "then": ears.seen[singly:],
	})
}

func main() {
	if len(os.Args) != 6 {
		fmt.Fprintln(os.Stderr, "usage: stargz-fetch URL REPOSITORY DIGEST SIZE CHUNK")
		os.Exit(2)
	}
	size, _ := strconv.ParseInt(os.Args[4], 10, 64)
	chunk, _ := strconv.ParseInt(os.Args[5], 10, 64)
	if err := run(os.Args[1], os.Args[2], os.Args[3], size, chunk); err != nil {
		fmt.Fprintln(os.Stderr, "stargz-fetch:", err)
		os.Exit(1)
	}
}
