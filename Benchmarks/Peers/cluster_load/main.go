// Loads a replicated store, etcd or Strata, with a fixed number of requests in flight, and prints what it did as one line of JSON.
//
// Each request in flight is a client of its own that asks, waits and asks again. The clients of either store share as many connections: etcd's
// as its own load generator has them do, over its own library; Strata's by sending what is asked at the same time together and taking the
// answers in their order. Where there are no more clients than connections, each client of Strata has one of its own. Latencies are those the clients see, in
// nanoseconds.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand"
	"net"
	"os"
	"runtime"
	"sort"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/etcd/clientv3"
)

type request func() error

// A connection that speaks Redis' protocol.
type redisClient struct {
	connection net.Conn
	reader     *bufio.Reader
}

func dial(address string) (*redisClient, error) {
	connection, err := net.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	return &redisClient{connection, bufio.NewReaderSize(connection, 32<<10)}, nil
}

func (c *redisClient) call(command []byte) error {
	if _, err := c.connection.Write(command); err != nil {
		return err
	}
	return c.answer()
}

// Reads one answer to its end.
func (c *redisClient) answer() error {
	line, err := c.reader.ReadSlice('\n')
	if err != nil {
		return err
	}
	switch line[0] {
	case '-':
		return fmt.Errorf("%s", strings.TrimSpace(string(line[1:])))
	case '$':
		length, err := strconv.Atoi(strings.TrimSpace(string(line[1:])))
		if err != nil {
			return err
		}
		if length >= 0 {
			_, err = c.reader.Discard(length + 2)
		}
		return err
	}
	return nil
}

// A connection that many ask over at once: what they ask goes in few writes, and the answers come in the order of the questions.
type sharedClient struct {
	*redisClient
	mutex   sync.Mutex
	unsent  []byte
	waiting []chan error
	news    chan struct{}
}

func dialShared(address string) (*sharedClient, error) {
	client, err := dial(address)
	if err != nil {
		return nil, err
	}
	shared := &sharedClient{redisClient: client, news: make(chan struct{}, 1)}
	go shared.write()
	go shared.read()
	return shared, nil
}

// Sends a command and waits for its answer, which comes over `done`.
func (c *sharedClient) ask(command []byte, done chan error) error {
	c.mutex.Lock()
	c.unsent = append(c.unsent, command...)
	c.waiting = append(c.waiting, done)
	c.mutex.Unlock()
	select {
	case c.news <- struct{}{}:
	default:
	}
	return <-done
}

func (c *sharedClient) write() {
	var sent []byte
	for range c.news {
		// Whoever else was answered just now asks again first, as gRPC's writer lets them.
		runtime.Gosched()
		c.mutex.Lock()
		sent, c.unsent = c.unsent, sent[:0]
		c.mutex.Unlock()
		// What goes wrong here shows where the answers are read.
		if _, err := c.connection.Write(sent); err != nil {
			c.connection.Close()
		}
	}
}

func (c *sharedClient) read() {
	var asked []chan error
	for next := 0; ; next++ {
		err := c.answer()
		if next == len(asked) {
			c.mutex.Lock()
			asked, c.waiting = c.waiting, asked[:0]
			c.mutex.Unlock()
			next = 0
			if len(asked) == 0 {
				must(fmt.Errorf("an answer nobody asked for, or %v", err))
			}
		}
		asked[next] <- err
	}
}

func set(key, value string) []byte {
	return []byte("*3\r\n$3\r\nSET\r\n$" + strconv.Itoa(len(key)) + "\r\n" + key + "\r\n$" + strconv.Itoa(len(value)) + "\r\n" + value + "\r\n")
}

func get(key string) []byte {
	return []byte("*2\r\n$3\r\nGET\r\n$" + strconv.Itoa(len(key)) + "\r\n" + key + "\r\n")
}

func main() {
	kind := flag.String("kind", "strata", "etcd or strata")
	endpoints := flag.String("endpoints", "", "addresses of the members, with commas between")
	operation := flag.String("op", "put", "put or get")
	inflight := flag.Int("inflight", 1000, "requests in flight")
	connections := flag.Int("connections", 100, "connections the clients share")
	seconds := flag.Float64("seconds", 5, "how long")
	size := flag.Int("value", 256, "bytes of a value")
	keys := flag.Int("keys", 10000, "keys")
	preload := flag.Bool("preload", false, "write every key first")
	flag.Parse()
	members := strings.Split(*endpoints, ",")
	value := strings.Repeat("v", *size)

	count := *connections
	if count > *inflight {
		count = *inflight
	}
	isShared := count < *inflight
	var peers []*clientv3.Client
	var shared []*sharedClient
	for i := 0; i < count; i++ {
		address := members[i%len(members)]
		if *kind == "etcd" {
			client, err := clientv3.New(clientv3.Config{Endpoints: []string{address}, DialTimeout: 5 * time.Second})
			must(err)
			peers = append(peers, client)
		} else if isShared {
			client, err := dialShared(address)
			must(err)
			shared = append(shared, client)
		}
	}
	open := func(number int, op string) request {
		random := rand.New(rand.NewSource(int64(number)))
		key := func() string { return fmt.Sprintf("key-%08d", random.Intn(*keys)) }
		if *kind == "etcd" {
			client := peers[number%len(peers)]
			if op == "put" {
				return func() error { _, err := client.Put(context.Background(), key(), value); return err }
			}
			return func() error { _, err := client.Get(context.Background(), key()); return err }
		}
		command := func() []byte {
			if op == "put" {
				return set(key(), value)
			}
			return get(key())
		}
		if isShared {
			client := shared[number%len(shared)]
			done := make(chan error, 1)
			return func() error { return client.ask(command(), done) }
		}
		client, err := dial(members[number%len(members)])
		must(err)
		return func() error { return client.call(command()) }
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
