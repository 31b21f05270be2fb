// Loads a replicated store, etcd or Strata, with a fixed number of requests in flight, and prints what it did as one line of JSON.
//
// Each request in flight is a client of its own that asks, waits and asks again. etcd's clients share connections, as its own load generator has
// them do; Strata's have a connection each. Latencies are those the clients see, in nanoseconds.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"math/rand"
	"net"
	"os"
	"sort"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/etcd/clientv3"
)

type request func() error

// A client of Redis' protocol on a connection of its own.
type redisClient struct {
	connection net.Conn
	reader     *bufio.Reader
}

func dial(address string) (*redisClient, error) {
	connection, err := net.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	return &redisClient{connection, bufio.NewReader(connection)}, nil
}

func (c *redisClient) call(command []byte) error {
	if _, err := c.connection.Write(command); err != nil {
		return err
	}
	line, err := c.reader.ReadString('\n')
	if err != nil {
		return err
	}
	switch line[0] {
	case '-':
		return fmt.Errorf("%s", strings.TrimSpace(line[1:]))
	case '$':
		var length int
		if _, err := fmt.Sscanf(line[1:], "%d", &length); err != nil {
			return err
		}
		if length >= 0 {
			_, err = io.CopyN(io.Discard, c.reader, int64(length)+2)
		}
		return err
	}
	return nil
}

func main() {
	kind := flag.String("kind", "strata", "etcd or strata")
	endpoints := flag.String("endpoints", "", "addresses of the members, with commas between")
	operation := flag.String("op", "put", "put or get")
	inflight := flag.Int("inflight", 1000, "requests in flight")
	connections := flag.Int("connections", 100, "connections etcd's clients share")
	seconds := flag.Float64("seconds", 5, "how long")
	size := flag.Int("value", 256, "bytes of a value")
	keys := flag.Int("keys", 10000, "keys")
	preload := flag.Bool("preload", false, "write every key first")
	flag.Parse()
	members := strings.Split(*endpoints, ",")
	value := strings.Repeat("v", *size)

	var shared []*clientv3.Client
	if *kind == "etcd" {
		count := *connections
		if count > *inflight {
			count = *inflight
		}
		for i := 0; i < count; i++ {
			client, err := clientv3.New(clientv3.Config{Endpoints: []string{members[i%len(members)]}, DialTimeout: 5 * time.Second})
			must(err)
			shared = append(shared, client)
		}
	}
	open := func(number int, op string) request {
		random := rand.New(rand.NewSource(int64(number)))
		key := func() string { return fmt.Sprintf("key-%08d", random.Intn(*keys)) }
		if *kind == "etcd" {
			client := shared[number%len(shared)]
			if op == "put" {
				return func() error { _, err := client.Put(context.Background(), key(), value); return err }
			}
			return func() error { _, err := client.Get(context.Background(), key()); return err }
		}
		client, err := dial(members[number%len(members)])
		must(err)
		if op == "put" {
			return func() error {
				k := key()
				return client.call([]byte(fmt.Sprintf("*3\r\n$3\r\nSET\r\n$%d\r\n%s\r\n$%d\r\n%s\r\n", len(k), k, len(value), value)))
			}
		}
		return func() error {
			k := key()
			return client.call([]byte(fmt.Sprintf("*2\r\n$3\r\nGET\r\n$%d\r\n%s\r\n", len(k), k)))
		}
	}
	if *preload {
		load(200, time.Duration(*seconds*float64(time.Second)/2), func(n int) request { return open(n, "put") })
	}
	latencies, elapsed, failures := load(*inflight, time.Duration(*seconds*float64(time.Second)), func(n int) request { return open(n, *operation) })
	sort.Slice(latencies, func(i, j int) bool { return latencies[i] < latencies[j] })
	at := func(share float64) float64 {
		if len(latencies) == 0 {
			return 0
		}
		return float64(latencies[int(share*float64(len(latencies)-1))])
	}
	text, err := json.Marshal(map[string]interface{}{
		"operations": len(latencies), "seconds": elapsed.Seconds(), "failures": failures,
		"p50": at(0.5), "p99": at(0.99), "p999": at(0.999), "max": at(1),
	})
	must(err)
	fmt.Println(string(text))
}

// Runs clients side by side for a time; a failed request ends its client.
func load(clients int, duration time.Duration, open func(int) request) ([]int64, time.Duration, int64) {
	var wait sync.WaitGroup
	var failures int64
	all := make([][]int64, clients)
	asks := make([]request, clients)
	for number := range asks {
		asks[number] = open(number)
	}
	start := time.Now()
	for number := 0; number < clients; number++ {
		wait.Add(1)
		go func(number int) {
			defer wait.Done()
			for time.Since(start) < duration {
				began := time.Now()
				if err := asks[number](); err != nil {
					if atomic.AddInt64(&failures, 1) == 1 {
						fmt.Fprintln(os.Stderr, "cluster_load:", err)
					}
					return
				}
				all[number] = append(all[number], time.Since(began).Nanoseconds())
			}
		}(number)
	}
	wait.Wait()
	elapsed := time.Since(start)
	var latencies []int64
	for _, list := range all {
		latencies = append(latencies, list...)
	}
	return latencies, elapsed, failures
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "cluster_load:", err)
		os.Exit(1)
	}
}
