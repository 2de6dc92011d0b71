import Foundation
import Model
import Ports
import Storage
import Testing
import Trust

@testable import CommandLineTool

/// What is signed where the images lie, and what `kiln verify` says of it.
@Suite final class StoreSignerTests: Sendable {
    private let folder = NSTemporaryDirectory() + "kiln-signer-\(UUID().uuidString)"
    private let store: ContentStore
    private let key = try! SigningKey(generating: .build)
    private let one: Model.Digest
    private let other: Model.Digest
    private let index: Model.Digest

    init() throws {
        let store = try ContentStore(folder + "/store")
        let images = try ["one", "other"].map { try store.write(Array($0.utf8)) }
        let manifests = JSONValue.array(images.map { .object(["digest": .string($0.description)]) })
        let index = try store.write(
            JSONValue.object(["schemaVersion": .number(2), "manifests": manifests]).bytes)
        for (image, index) in [(images[0], index), (images[1], nil)] {
            try store.record(
                ImageRecord(
                    digest: image, service: nil, bakedAt: Instant(milliseconds: 0), size: 1, packages: 0,
                    index: index))
        }
        (self.store, one, other, self.index) = (store, images[0], images[1], index)
        try Data(key.publicKey.pem.utf8).write(to: URL(fileURLWithPath: folder + "/release.pub"))
    }

    deinit { try? FileManager.default.removeItem(atPath: folder) }

    private func verify(_ image: Model.Digest) async -> Int32 {
        await run(["verify", "\(image)", "--key", folder + "/release.pub", "--keys", folder + "/keys"])
    }

    private func run(_ arguments: [String]) async -> Int32 {
        let adapters = Adapters(
            openStore: { try ContentStore($0 + "/store") }, imagesInUse: { _ in [] },
            openLedger: { root, _ in throw Failure(.notFound, "no ledger", at: root) }, serve: { _ in },
            examineHost: { [] })
        return await KilnCommand.run(arguments + ["--root", folder], with: adapters)
    }

    @Test func `signing an image in the store signs the index that it came in`() async throws {
        let path = folder + "/release.key"
        try KeyFolder.write(try KeyFile(key, passphrase: nil).bytes, to: path, mode: 0o600)
        let signer = StoreSigner(store: store)
        #expect(await run(["image", "sign", "\(one)", "--key", path]) == 0)
        #expect(try signer.evidence(about: one).count == 1 && signer.evidence(about: index).count == 1)
        #expect(await run(["image", "sign", "\(other)", "--key", path]) == 0, "which came in none")
        #expect(try signer.evidence(for: other).count == 1)
    }

    @Test func `an index is signed beside the image that came in it, once, and speaks for what it lists`()
        async throws
    {
        let signer = StoreSigner(store: store)
        #expect(await verify(one) == 1)
        for expected in [[PredicateType.signature], []] {
            let types = try await signer.sign(index, beside: one, called: "hello", with: key, saying: [])
            #expect(types == expected)
        }
        #expect(try signer.evidence(about: index).count == 1)
        #expect(try signer.evidence(about: one).isEmpty && signer.evidence(about: other).isEmpty)
        #expect(await verify(one) == 0, "as the daemon decides")
        #expect(await verify(other) == 1, "its record names no index")
        _ = try await signer.sign(other, called: "hello", with: key, saying: [])
        #expect(try signer.evidence(about: other).count == 1 && signer.evidence(about: index).count == 1)
    }

    @Test func `a list of keys that is damaged brings no revoked key back`() async throws {
        _ = try await StoreSigner(store: store).sign(one, called: "hello", with: key, saying: [])
        #expect(await verify(one) == 0)
        let keys = KeyFolder(path: folder + "/keys")
        try keys.change { ring in
            try ring.add(TrustedKey(name: "release", publicKey: key.publicKey, role: .build))
            _ = try ring.revoke("release", reason: "lost", now: Instant(milliseconds: 0))
        }
        #expect(await verify(one) == 1)
        let path = folder + "/keys/keys.json"
        let text = try String(contentsOfFile: path, encoding: .utf8)
        try text.replacing("revocation", with: "revocaton").write(
            toFile: path, atomically: true, encoding: .utf8)
        #expect(await verify(one) != 0)
    }
}
