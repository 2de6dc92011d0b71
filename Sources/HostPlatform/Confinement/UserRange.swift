internal import CLinux
internal import Glibc
internal import Model

/// The users of the host that an instance's users are: a range for each instance, so that neighbours are strangers to
/// each other as well, whatever gets out.
struct UserRange: Hashable, Sendable {
    /// User 0 inside is this one outside.
    let first: UInt32

    /// Users and groups inside: 0 to 65535, as Debian numbers them, `nobody` included.
    static let count: UInt32 = 65_536

    /// 0x7000_0000 to 0x7FFD_FFFF belong to nobody by systemd's table of users, and stay below 2^31, where some programs
    /// count with signs. The first two addresses of a network are no instance's.
    private static let base: UInt32 = 0x6ffe_0000
    /// 4096 ranges: a network has 1024 addresses, so four networks of one host lie side by side before two share.
    private static let places: UInt32 = 4096

    /// The range of the instance at an address: nobody else has that address while it exists.
    init(_ address: IPv4) {
        first = UserRange.base + (address.value % UserRange.places) * UserRange.count
    }

    /// Of the bridge, which is no instance's.
    static let probe = UserRange(IPv4(0x0a80_0001))

    /// Why a user of the image cannot be in a range; nil: it can.
    static func refusal(of id: Int) -> Failure? {
        guard id >= Int(count) else { return nil }
        return Failure(
            .launchFailed, "the image's user \(id) is not below \(count), and an instance has no others",
            suggestion: "use a lower number, or ask for it: `allow: [{host-users: true, reason: …}]`")
    }

    // MARK: For the runtime

    static let namespace: JSONText = ["type": "user"]

    var settings: [(String, JSONText)] {
        let rows: JSONText = [
            ["containerID": 0, "hostID": .number(Int(first)), "size": .number(Int(UserRange.count))]
        ]
        return [("uidMappings", rows), ("gidMappings", rows)]
    }

    // MARK: For the image

    /// Mounts an image at `target`, as seen in `mounts`, with its files owned by the users inside. Goes when the
    /// folder is removed, or with `mounts`.
    func mount(_ image: String, at target: String, in mounts: PrivateMounts) throws {
        var number: Int32 = -1
        var code = kiln_user_namespace(first, UserRange.count, &number)
        guard code == 0 else { throw SystemFailure.failure(code, "cannot make a user namespace") }
        let namespace = Descriptor(number)
        code = kiln_mapped_mount(image, namespace.number, mounts.namespace.number, target)
        guard code == 0 else {
            throw SystemFailure.failure(code, "cannot mount the image for the instance's users", at: target)
        }
    }

    // MARK: Where it is possible

    /// The first kernel whose EROFS can be mounted for other users.
    private static let firstKernel = [5, 19]

    /// Why this kernel or a runtime cannot do it; nil: they can.
    static func whyImpossible(with runtime: String) -> String? {
        // `runc exec` enters the users before the network, and from then on may not enter what they do not own.
        if runtime == "runc" {
            return "runc cannot run commands in an instance that has its own users; crun can"
        }
        var number: Int32 = -1
        let code = kiln_user_namespace(probe.first, count, &number)
        guard code == 0 else { return "this kernel makes no user namespace: \(SystemFailure.text(code))" }
        close(number)
        let release = Files.text("/proc/sys/kernel/osrelease", limit: 256) ?? ""
        let version = release.split { !$0.isNumber }.prefix(2).compactMap { Int($0) }
        guard !version.lexicographicallyPrecedes(firstKernel) else {
            return "kernels before 5.19 cannot mount an image for other users"
        }
        return nil
    }
}
