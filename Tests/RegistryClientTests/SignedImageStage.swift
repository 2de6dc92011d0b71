import Foundation
import ImageFormat
import Model
import RegistryClient
import TestKit

extension SignedImageTests {
    /// A registry with two images, and three keys: of the builder, of a stranger, of the wrong role.
    final class Stage {
        let registry: DockerRegistry
        let folder: TemporaryFolder
        let images: [TestImage]
        let (release, stranger, ops): (String, String, String)
        /// Where everything goes to and is looked for.
        var repository = "app"

        init() async throws {
            registry = try await DockerRegistry()
            folder = try TemporaryFolder()
            images = [TestImage(seed: 1), TestImage(seed: 2)]
            let path = folder.path
            for (name, role) in [("release", "build"), ("stranger", "build"), ("ops", "deploy")] {
                let made = Stage.kiln(
                    "key generate \(name) --role \(role) --no-passphrase --output json", keys: path)
                guard made.status == 0 else { throw Failure(.commandFailed, made.output) }
            }
            func publicKey(_ name: String) -> String {
                shell("echo '\(path)/keys/\(name)-'*.pub").output.trimmingCharacters(in: .newlines)
            }
            (release, stranger, ops) = (publicKey("release"), publicKey("stranger"), publicKey("ops"))
            for (number, image) in images.enumerated() { try put(image, as: "v\(number + 1)") }
        }

        /// As any client would.
        func put(_ image: TestImage, as tag: String) throws {
            for blob in image.blobs { try putBlob(blob) }
            try putManifest(image.manifest, image.type, as: tag)
        }

        func putBlob(_ bytes: [UInt8]) throws {
            let file = "\(folder.path)/blob"
            try Data(bytes).write(to: URL(fileURLWithPath: file))
            try run(
                """
                to=$(curl -sSf -X POST -D - -o /dev/null http://\(registry.address)/v2/\(repository)/blobs/uploads/ \
                | tr -d '\\r' | sed -n 's/^[Ll]ocation: //p') && curl -sSf -X PUT --data-binary @'\(file)' \
                -H 'Content-Type: application/octet-stream' "$to&digest=\(Digest.sha256(bytes))"
                """)
        }

        func putManifest(_ bytes: [UInt8], _ type: String, as tag: String) throws {
            let file = "\(folder.path)/manifest"
            try Data(bytes).write(to: URL(fileURLWithPath: file))
            try run(
                "curl -sSf -X PUT -H 'Content-Type: \(type)' --data-binary @'\(file)' http://\(registry.address)/v2/\(repository)/manifests/\(tag)"
            )
        }

        func getManifest(_ tag: String) throws -> [UInt8] {
            Array(
                try run(
                    "curl -sSf -H 'Accept: \(OCIDescriptor.manifestType), \(OCIDescriptor.indexType)' http://\(registry.address)/v2/\(repository)/manifests/\(tag)"
                ).utf8)
        }

        func getBlob(_ digest: Digest) throws -> [UInt8] {
            Array(try run("curl -sSf http://\(registry.address)/v2/\(repository)/blobs/\(digest)").utf8)
        }

        @discardableResult
        func run(_ command: String) throws -> String {
            let said = shell(command)
            guard said.status == 0 else { throw Failure(.commandFailed, said.output) }
            return said.output
        }

        func name(_ tag: String) -> String { "\(registry.address)/\(repository):\(tag)" }

        private static func kiln(
            _ arguments: String, keys path: String, before program: String = ""
        ) -> (status: Int32, output: String) {
            shell(
                "unset KILN_KEY_PASSPHRASE KILN_REGISTRIES; KILN_ROOT='\(path)/root' KILN_KEYS='\(path)/keys' \(program) '\(ProgramTests.path)' \(arguments) < /dev/null"
            )
        }

        func kiln(_ arguments: String, before program: String = "") -> (status: Int32, output: String) {
            Stage.kiln(arguments, keys: folder.path, before: program)
        }

        func sign(_ image: Digest, as tag: String, key: String = "release") throws {
            let said = kiln("image sign \(image) \(name(tag)) --key \(key)")
            guard said.status == 0 else { throw Failure(.commandFailed, said.output) }
        }

        /// With a home of its own, and nothing to ask but the registry.
        func cosign(_ generation: String, _ arguments: String) -> (status: Int32, output: String) {
            shell(
                "cd '\(folder.path)'; HOME='\(folder.path)' COSIGN_PASSWORD= '\(SignedImageTests.cosign(generation))' \(arguments) 2>&1"
            )
        }

        func cosignVerify(_ generation: String, _ tag: String, key: String, _ verb: String = "verify") -> (
            status: Int32, output: String
        ) {
            cosign(
                generation,
                "\(verb) --key '\(key)' --insecure-ignore-tlog --allow-insecure-registry --allow-http-registry \(name(tag))"
            )
        }

        func verify(_ tag: String, key: String? = nil, _ more: String = "") -> (
            status: Int32, output: String
        ) {
            kiln("verify \(name(tag)) \(key.map { "--key '\($0)'" } ?? "") \(more)")
        }

        /// Puts a signature of the older form beside an image, whatever it says.
        func putLegacy(_ payload: [UInt8], _ signature: [UInt8], about image: Digest) throws {
            let config = Array("{}".utf8)
            try putBlob(payload)
            try putBlob(config)
            let layer = OCIDescriptor(
                mediaType: "application/vnd.dev.cosign.simplesigning.v1+json", digest: .sha256(payload),
                size: payload.count,
                annotations: [
                    "dev.cosignproject.cosign/signature": Data(signature).base64EncodedString()
                ])
            let described = OCIDescriptor(
                mediaType: OCIDescriptor.configType, digest: .sha256(config), size: config.count)
            let manifest = OCIManifest(config: described, layers: [layer])
            try putManifest(
                manifest.bytes, OCIDescriptor.manifestType, as: "sha256-\(image.hex).sig")
        }

        /// The newer form's only bundle.
        func bundle(_ image: Digest) throws -> JSONValue {
            let index = try OCIIndex(parsing: try getManifest("sha256-\(image.hex)"))
            let manifest = try JSONValue(parsing: try getManifest("\(index.manifests[0].digest)"))
            let digest = manifest["layers"]?.elements?.first?["digest"]?.text ?? ""
            return try JSONValue(parsing: try getBlob(try Digest(parsing: digest)))
        }

        /// Puts a bundle beside an image, whatever it says, where no other lies.
        func putBundle(_ bundle: [UInt8], about image: TestImage) throws {
            let type = "application/vnd.dev.sigstore.bundle.v0.3+json"
            let config = Array("{}".utf8)
            try putBlob(bundle)
            try putBlob(config)
            func descriptor(_ type: String, _ bytes: [UInt8]) -> OCIDescriptor {
                OCIDescriptor(mediaType: type, digest: .sha256(bytes), size: bytes.count)
            }
            let manifest = JSONValue.object([
                "schemaVersion": .number(2), "mediaType": .string(OCIDescriptor.manifestType),
                "artifactType": .string(type),
                "config": descriptor("application/vnd.oci.empty.v1+json", config).json,
                "layers": .array([descriptor(type, bundle).json]),
                "subject": descriptor(image.type, image.manifest).json,
                "annotations": .object([
                    "dev.sigstore.bundle.content": .string("dsse-envelope"),
                    "dev.sigstore.bundle.predicateType": .string("https://sigstore.dev/cosign/sign/v1"),
                ]),
            ]).bytes
            try putManifest(manifest, OCIDescriptor.manifestType, as: "\(Digest.sha256(manifest))")
            var entry = descriptor(OCIDescriptor.manifestType, manifest)
            entry.artifactType = type
            try putManifest(
                OCIIndex(manifests: [entry]).bytes, OCIDescriptor.indexType, as: "sha256-\(image.digest.hex)")
        }

        /// The older form's only payload and signature.
        func payload(_ image: Digest) throws -> (bytes: [UInt8], signature: [UInt8]) {
            let manifest = try JSONValue(parsing: try getManifest("sha256-\(image.hex).sig"))
            let layer = manifest["layers"]?.elements?.first
            let text = layer?["annotations"]?["dev.cosignproject.cosign/signature"]?.text ?? ""
            let digest = try Digest(parsing: layer?["digest"]?.text ?? "")
            return (try getBlob(digest), Array(Data(base64Encoded: text) ?? Data()))
        }
    }
}
