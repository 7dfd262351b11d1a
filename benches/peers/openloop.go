// Sends OCSP requests at a fixed rate whether or not answers are late, and counts each one's time from when it was due:
// openloop ADDRESS PATH HEX RATE SECONDS CONNECTIONS. Prints JSON. For benches/compare.
package main

import (
	"bufio"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"sort"
	"strconv"
	"sync"
	"time"
)

func number(at int) float64 {
	value, err := strconv.ParseFloat(os.Args[at], 64)
	if err != nil {
		panic(err)
	}
	return value
}

func main() {
	body, err := hex.DecodeString(os.Args[3])
	if err != nil {
		panic(err)
	}
	rate, seconds, connections := number(4), number(5), int(number(6))
	head := fmt.Sprintf("POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/ocsp-request\r\nContent-Length: %d\r\n\r\n",
		os.Args[2], len(body))
	message := append([]byte(head), body...)
	every := time.Duration(float64(connections) / rate * float64(time.Second))
	var all sync.WaitGroup
	times, refused := make([][]time.Duration, connections), make([]int, connections)
	bySecond, lock := map[int][]time.Duration{}, sync.Mutex{}
	start := time.Now()
	for n := 0; n < connections; n++ {
		all.Add(1)
		go func(n int) {
			defer all.Done()
			conn, err := net.Dial("tcp", os.Args[1])
			if err != nil {
				panic(err)
			}
			reader := bufio.NewReader(conn)
			due := start.Add(every * time.Duration(n) / time.Duration(connections))
			for ; due.Sub(start).Seconds() < seconds; due = due.Add(every) {
				time.Sleep(time.Until(due))
				if _, err := conn.Write(message); err != nil {
					panic(err)
				}
				response, err := http.ReadResponse(reader, nil)
				if err != nil {
					panic(err)
				}
				length, _ := io.Copy(io.Discard, response.Body)
				if response.StatusCode != 200 || length < 100 {
					refused[n]++
				}
				took := time.Since(due)
				times[n] = append(times[n], took)
				second := int(due.Sub(start).Seconds())
				lock.Lock()
				bySecond[second] = append(bySecond[second], took)
				lock.Unlock()
			}
		}(n)
	}
	all.Wait()
	var whole []time.Duration
	sum, worst := 0, 0.0
	for n := range times {
		whole = append(whole, times[n]...)
		sum += refused[n]
	}
	for _, second := range bySecond {
		worst = max(worst, quantile(second, .99))
	}
	fmt.Printf("{\"count\": %d, \"p50_ms\": %.3f, \"p99_ms\": %.3f, \"worst_p99_ms\": %.3f, \"max_ms\": %.3f, \"refused\": %d}\n",
		len(whole), quantile(whole, .5), quantile(whole, .99), worst, quantile(whole, 1), sum)
}

// In milliseconds.
func quantile(times []time.Duration, part float64) float64 {
	sort.Slice(times, func(a, b int) bool { return times[a] < times[b] })
	return times[int(part*float64(len(times)-1))].Seconds() * 1000
}
