import Model
import Testing

@testable import HostPlatform

/// What is compared, as values: every loosening is a difference, and nothing that a server may do is.
@Suite struct DriftValuesTests {
    private static func status(
        uid: String = "33\t33\t33\t33", gid: String = "33\t33\t33\t33", permitted: String = "c3",
        bounding: String = "c3",
        privileges: Int = 1, seccomp: Int = 2
    ) -> [UInt8] {
        Array(
            """
            Name:\tnginx: a (b) c
            State:\tS (sleeping)
            Uid:\t\(uid)
            Gid:\t\(gid)
            CapInh:\t0000000000000000
            CapPrm:\t\(permitted)
            CapEff:\t\(permitted)
            CapBnd:\t\(bounding)
            CapAmb:\t0000000000000000
            NoNewPrivs:\t\(privileges)
            Seccomp:\t\(seccomp)
            Seccomp_filters:\t1

            """.utf8)
    }

    private func looser(_ now: [UInt8], than then: [UInt8]) throws -> [String] {
        let launch = try #require(ProcessConfinement(status: then))
        return try #require(ProcessConfinement(status: now)).looser(than: launch).map(\.subject)
    }

    @Test func `giving up rights is no difference, and each one gained is`() throws {
        let root = DriftValuesTests.status(uid: "0\t0\t0\t0", gid: "0\t0\t0\t0")
        #expect(try looser(root, than: root) == [])
        #expect(try looser(DriftValuesTests.status(permitted: "0"), than: root) == [])
        #expect(try looser(DriftValuesTests.status(uid: "70\t70\t70\t70", bounding: "0"), than: root) == [])
        #expect(try looser(DriftValuesTests.status(permitted: "1c3"), than: root) == ["CapPrm", "CapEff"])
        #expect(try looser(DriftValuesTests.status(bounding: "2c3"), than: root) == ["CapBnd"])
        #expect(try looser(DriftValuesTests.status(privileges: 0), than: root) == ["NoNewPrivs"])
        #expect(try looser(DriftValuesTests.status(seccomp: 0), than: root) == ["Seccomp"])
        let plain = DriftValuesTests.status(permitted: "0", bounding: "0")
        let risen = DriftValuesTests.status(uid: "33\t0\t33\t33", permitted: "0", bounding: "0")
        #expect(try looser(risen, than: plain) == ["Uid"])
    }

    @Test func `a status that is cut anywhere is no status, or the same`() throws {
        let whole = DriftValuesTests.status()
        let parsed = try #require(ProcessConfinement(status: whole))
        for length in 0..<whole.count {
            guard let cut = ProcessConfinement(status: Array(whole.prefix(length))) else { continue }
            #expect(cut.looser(than: parsed) == [] || length < whole.count - 20, "\(length)")
        }
        for place in whole.indices {
            var other = whole
            other[place] ^= 0x15
            _ = ProcessConfinement(status: other)
        }
    }

    @Test func `hard limits are read by their column`() {
        let text = """
            Limit                     Soft Limit           Hard Limit           Units
            Max cpu time              unlimited            unlimited            seconds
            Max core file size        0                    0                    bytes
            Max open files            1024                 65536                files

            """
        #expect(ProcessConfinement.hardLimits(in: Array(text.utf8)) == [.max, 0, 65536])
    }

    private static let mounts = """
        266 170 0:43 / / ro,relatime master:7 - erofs /r/images/a.erofs ro,user_xattr
        267 266 0:54 / /proc rw,nosuid,nodev,noexec,relatime - proc proc rw
        268 266 0:55 / /dev rw,nosuid,noexec - tmpfs tmpfs rw,size=64k,mode=755
        270 266 0:26 /kiln/hosts /etc/hosts ro,nosuid shared:3 - tmpfs tmpfs rw,size=100k

        """

    @Test func `numbers, peer groups and sizes of lent file systems mean nothing`() {
        let launch = MountList(Array(DriftValuesTests.mounts.utf8))
        #expect(launch.mounts.count == 4)
        var text = DriftValuesTests.mounts
        for (old, new) in [("266 ", "1266 "), (" master:7", ""), ("shared:3", "shared:44"), ("100k", "200k")]
        {
            text = text.replacing(old, with: new)
            #expect(MountList(Array(text.utf8)).differences(from: launch) == [])
        }
    }

    @Test(arguments: [
        ("ro,relatime master", "rw,relatime master", "mount /"), ("0:54 /", "0:99 /", "mount /proc"),
        ("/kiln/hosts", "/kiln/evil", "mount /etc/hosts"), ("rw,nosuid,noexec", "rw,nosuid", "mount /dev"),
        ("270 266 0:26 /kiln/hosts /etc/hosts", "270 266 0:26 /kiln/hosts /etc/passwd", "mount /etc/hosts"),
    ]) func `every other change of a mount is found by its path`(
        _ old: String, _ new: String, _ subject: String
    ) {
        let launch = MountList(Array(DriftValuesTests.mounts.utf8))
        let now = MountList(Array(DriftValuesTests.mounts.replacing(old, with: new).utf8))
        #expect(now.differences(from: launch).map(\.subject).contains(subject))
    }

    @Test func `one more mount and one fewer are found, whichever it is`() {
        let launch = MountList(Array(DriftValuesTests.mounts.utf8))
        for place in launch.mounts.indices {
            var fewer = launch
            fewer.mounts.remove(at: place)
            #expect(fewer.differences(from: launch).map(\.subject) == ["mount \(launch.mounts[place].path)"])
            #expect(launch.differences(from: fewer).map(\.subject) == ["mount \(launch.mounts[place].path)"])
        }
        let whole = Array(DriftValuesTests.mounts.utf8)
        for length in whole.indices { _ = MountList(Array(whole.prefix(length))) }
    }

    @Test(arguments: [
        ("A=1\0PATH=/bin\0SECRET=abc\0", []), ("A=1\0PATH=/evil\0SECRET=abc\0", ["PATH"]),
        ("A=1\0PATH=/bin\0SECRET=\0", []), ("A=1\0PATH=/bin\0SECRET=xxx\0", []),
        ("nginx: worker\0PATH=/evil\0", []), ("PATH=/bin\0", []), ("", []), ("=\0\0==\0", []),
        ("\0\0\0\0PATH=/evil\0", []), ("A=2\0", ["A"]),
    ]) func `only a given variable with another value counts`(_ memory: String, _ changed: [String]) {
        let given = GivenEnvironment(["A=1", "PATH=/bin", "SECRET=abc"])
        #expect(given.changed(in: Array(memory.utf8)) == changed)
    }

    @Test func `a process is in the group that its path names, or in one below it`() {
        let prefix = Array("/kiln-abc/".utf8)
        func group(_ text: String) -> String? { InstanceLook.group(in: Array(text.utf8), prefix: prefix) }
        #expect(group("9:pids:/kiln-abc/web-r1-1\n0::/\n") == "web-r1-1")
        #expect(group("0::/kiln-abc/web-r1-1/below\n") == "web-r1-1")
        #expect(group("0::/kiln-abcd/web-r1-1\n") == nil)
        #expect(group("0::/kiln-abc/\n") == nil)
        #expect(group("x\n::\n:\n") == nil)
    }

    @Test func `a changed network is named, and what the kernel does by itself is not`() {
        var launch = NetworkView()
        launch.links = [1: "lo up", 2: "eth0 up"]
        launch.addresses = ["10.0.0.2/22 of 2"]
        launch.generation = 1
        var now = launch
        now.links[3] = "tunl0 down"
        now.downLinks = [3]
        #expect(now.differences(from: launch) == [])
        now.links[3] = "x0 up"
        now.downLinks = []
        now.addresses = []
        now.generation = 2
        #expect(
            now.differences(from: launch).map(\.subject) == [
                "interface x0", "address 10.0.0.2/22 of 2", "firewall",
            ])
    }

    /// struct rtmsg of linux/rtnetlink.h, with a destination and an interface.
    private func route(flags: UInt32, to last: UInt8) -> [UInt8] {
        var message = NetlinkMessage(
            NetlinkType.newRoute, flags: 0,
            body: [UInt8(2), 32, 0, 0, 254, 0, 0, 1] + NetlinkMessage.raw(flags))
        message.attribute(NetlinkType.routeDestination, [10, 9, 0, last])
        message.attribute(4, UInt32(2))
        return NetlinkMessage.raw(NetlinkType.newRoute) + message.finished.dropFirst(16)
    }

    @Test func `what the kernel learned of a path is no route, and one that somebody set is`() {
        let launch = NetworkView([route(flags: 0, to: 1)], generation: 1)
        #expect(launch.routes.count == 1)
        // RTM_F_CLONED, as an exception for a smaller MTU has it.
        let learned = NetworkView(
            [route(flags: 0, to: 1), route(flags: 0x200, to: 2)], generation: 1)
        #expect(learned == launch)
        let other = NetworkView([route(flags: 0, to: 1), route(flags: 0, to: 2)], generation: 1)
        #expect(other.differences(from: launch).map(\.subject).first?.hasPrefix("route 10.9.0.2/32") == true)
    }

    @Test func `rights that a helper kept are no difference for it, nor for anybody after it`() throws {
        // A first process that dropped everything, and a child that is still root.
        let dropped = DriftValuesTests.status(permitted: "0", bounding: "0")
        let helper = DriftValuesTests.status(uid: "0\t0\t0\t0", gid: "0\t0\t0\t0", privileges: 0)
        var launch = try #require(ProcessConfinement(status: dropped))
        let other = try #require(ProcessConfinement(status: helper))
        #expect(!other.looser(than: launch).isEmpty)
        launch.widen(by: other)
        #expect(other.looser(than: launch) == [])
        #expect(try #require(ProcessConfinement(status: dropped)).looser(than: launch) == [])
        let more = DriftValuesTests.status(permitted: "1c3", bounding: "1c3")
        #expect(
            try #require(ProcessConfinement(status: more)).looser(than: launch).map(\.subject) == [
                "CapPrm", "CapEff", "CapBnd",
            ])
    }

    @Test func `a part of evidence that is too long is shortened, from its less telling end`() {
        let list = JSONValue.array((0..<1000).map { .number($0) })
        let (whole, isWhole) = Evidence.fitting(list, in: 1 << 20)
        #expect(whole == list && isWhole)
        let (first, isCut) = Evidence.fitting(list, in: 500)
        #expect(first?.elements?.first?.number == 0 && (first?.bytes.count ?? 0) < 500 && !isCut)
        #expect((first?.elements?.count ?? 0) > 50)
        #expect(
            Evidence.fitting(list, in: 500, keepsEnd: true).0?.elements?.last?.number == 999)
        let lists = Evidence.fitting(.object(["tcp": list, "udp": .array([])]), in: 600).0
        #expect(lists?["tcp"]?.elements?.isEmpty == false && lists?["udp"]?.elements?.isEmpty == true)
        #expect(Evidence.fitting(.string(String(repeating: "x", count: 99)), in: 50).0 == nil)
    }

    @Test func `any altered byte of a block is seen in that block alone`() {
        var tree = BlockTree()
        let blocks = (0..<5).map { number in [UInt8](repeating: UInt8(number), count: 100) }
        for block in blocks { block.withUnsafeBytes { tree.append($0) } }
        let root = tree.root
        for (number, block) in blocks.enumerated() {
            #expect(block.withUnsafeBytes { tree.holds($0, at: number) })
            #expect(!block.withUnsafeBytes { tree.holds($0, at: (number + 1) % 5) })
            #expect(!block.dropLast().withUnsafeBytes { tree.holds($0, at: number) })
        }
        var other = BlockTree()
        for block in blocks.reversed() { block.withUnsafeBytes { other.append($0) } }
        #expect(other.root != root)
        #expect(BlockTree(leaves: tree.leaves)?.root == root)
        #expect(BlockTree(leaves: [1]) == nil)
    }
}
