import Glibc
import Model
import TestKit
import Testing

@testable import HostPlatform

/// Each number means what the model says of it, against servers that misbehave.
@Suite(.serialized, .timeLimit(.minutes(60))) struct RouterCountsTests {
    @Test func `answers, errors and times are counted for each instance`() async throws {
        try await FaultySite.run(2) { site in
            try await site.route([1: .serving(weight: 1), 2: .warm])
            for _ in 1...5 { #expect(site.get()?.body == "server 1") }
            for _ in 1...2 { #expect(site.get("/slow")?.status == 200) }
            #expect(site.get("/500")?.status == 500)
            #expect(site.get("/cut")?.body == "half")
            #expect(site.get("/close", method: "POST")?.status == 502)
            try await eventually { try await site.counts(1).latency.total == 9 }
            let one = try await site.counts(1)
            #expect(one.requests == 10)
            #expect(one.errors == 3)
            let slowest = try #require(one.latency.quantile(1))
            #expect(slowest >= 29_000)
            #expect(try #require(one.latency.quantile(0.1)) < slowest)
            #expect(try await site.counts(2) == RequestCounts())
            let all = try await site.counts()
            #expect(all == TrafficCounts(requests: 10, failed: 1, refused: 0, cut: 1, serverErrors: 1))
        }
    }

    @Test func `a request that another instance answered is an error of the one that did not`() async throws {
        try await FaultySite.run(2) { site in
            try await site.route([1: .serving(weight: 1), 2: .serving(weight: 1)])
            site.servers[0].stop()
            for _ in 1...6 { #expect(site.get()?.body == "server 2") }
            let (one, two) = (try await site.counts(1), try await site.counts(2))
            #expect(one.errors > 0)
            #expect(one.requests == one.errors)
            #expect(two.errors == 0)
            #expect(two.requests == 6)
            #expect(try await site.counts() == TrafficCounts(requests: 6))
            site.servers[1].stop()
            #expect(site.get()?.status == 503)
            let all = try await site.counts()
            #expect(all == TrafficCounts(requests: 7, failed: 1, refused: 1))
        }
    }

    @Test func `what an instance counted goes with it, and what its service counted stays`() async throws {
        try await FaultySite.run(2) { site in
            try await site.route([1: .serving(weight: 1), 2: .warm])
            for _ in 1...3 { site.get("/500") }
            try await eventually { try await site.counts(1).latency.total == 3 }
            let table = { try site.host.router.process.socket.ask("show table b.web.production") }
            #expect(try table().contains("key=web-r1-1/"))
            try await site.route([2: .serving(weight: 1)])
            try await eventually {
                _ = try await site.host.router.observe()
                return try !table().contains("key=web-r1-1/")
            }
            #expect(try await site.counts() == TrafficCounts(requests: 3, serverErrors: 3))
            try await site.route([1: .serving(weight: 1), 2: .warm])
            #expect(try await site.counts(1) == RequestCounts())
            #expect(site.get()?.body == "server 1")
            #expect(try await site.counts() == TrafficCounts(requests: 4, serverErrors: 3))
        }
    }

    @Test func `a service's counts outlive reloads, and restarts as far as they were kept`() async throws {
        try await FaultySite.run(1) { site in
            try await site.route([1: .serving(weight: 1)])
            for path in ["/", "/500", "/cut"] { site.get(path) }
            let expected = TrafficCounts(requests: 3, cut: 1, serverErrors: 1)
            #expect(try await site.counts() == expected)
            var other = site.host.route(freePort(), [])
            other.key = ServiceKey(try ServiceName("other"))
            for _ in 1...2 {
                try await site.host.router.apply(other)
                #expect(try await site.counts() == expected)
                #expect(try await site.counts(1).requests == 0)
                try await site.host.router.remove(other.key)
            }
            #expect(try await site.counts() == expected)
            #expect(site.get()?.status == 200)
            try await site.route([1: .serving(weight: 2)])
            let master = try #require(site.host.router.process.master)
            master.signal(SIGKILL)
            site.host.router.process.killRest()
            let router = HAProxyRouter(root: site.host.root, watch: site.host.platform.watch)
            try await router.apply(site.wanted([1: .serving(weight: 2)]))
            let counts = try await router.observe().routes[site.host.key]?.counts
            #expect(counts == expected + TrafficCounts(requests: 1))
        }
    }

    @Test func `connections that are not HTTP count as requests, without times`() async throws {
        try await FaultySite.run(1) { site in
            try await site.route([1: .serving(weight: 1)], traffic: .tcp)
            for _ in 1...2 { #expect(site.get()?.status == 200) }
            #expect(try await site.counts(1) == RequestCounts(requests: 2))
            #expect(try await site.counts() == TrafficCounts(requests: 2))
            site.servers[0].stop()
            #expect(site.get() == nil)
            #expect(try await site.counts() == TrafficCounts(requests: 3, failed: 1, refused: 1))
        }
    }

    @Test func `buckets are those of the model, whatever the number of digits`() {
        let times = [0, 7, 10, 99, 100, 1_234, 99_999, 1_234_567_890]
        let rows = times.map { time in
            let digits = String(time)
            return "0x1: key=web-r1-1/\(digits.count)\(digits.prefix(2)) use=0 exp=0 gpc0=2\n"
        }
        let text =
            "# table: b.web.production, type: string, size:65536, used:9\n" + rows.joined()
            + "0x1: key=web-r1-1/5-1 use=0 exp=0 gpc0=1\n0x1: key=/312 use=0 exp=0 gpc0=1\n"
        let expected = Dictionary(
            uniqueKeysWithValues: times.map { (LatencyHistogram.bucket(ofMicroseconds: $0), 2) })
        #expect(
            ProxyLatencies.histograms(text) == [
                try! InstanceID("web-r1-1"): LatencyHistogram(counts: expected)
            ])
    }
}
