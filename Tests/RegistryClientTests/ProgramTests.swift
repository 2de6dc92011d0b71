import Foundation
import ImageFormat
import Model
import NIOHTTP1
import Testing
import TestKit

/// The verbs, as people call them, with the environment that they have.
@Suite struct ProgramTests {
    static let path = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
        .deletingLastPathComponent().appendingPathComponent("kiln").path

    @Test(.timeLimit(.minutes(60)))
    func `an image is pulled by a helper's password, named, pushed and copied`()
        async throws
    {
        var behaviour = RegistryDouble.Behaviour()
        behaviour.signIn = .basic(user: "ann", password: "secret")
        let registry = try await RegistryDouble(behaviour)
        let image = TestImage()
        registry.put(image, as: "v1", in: "app")
        let folder = try TemporaryFolder()
        let helper = "\(folder.path)/docker-credential-kilntest"
        try """
        #!/bin/sh
        read -r server
        [ "$1" = get ] && [ "$server" = "\(registry.address)" ] || { echo "credentials not found"; exit 1; }
        echo '{"ServerURL": "x", "Username": "ann", "Secret": "secret"}'
        """.write(toFile: helper, atomically: true, encoding: .utf8)
        shell("chmod +x '\(helper)'")
        try #"{"credsStore": "kilntest"}"#.write(
            toFile: "\(folder.path)/config.json", atomically: true, encoding: .utf8)
        func kiln(_ arguments: String, config: String? = nil) -> (status: Int32, output: String) {
            shell(
                "export DOCKER_CONFIG='\(config ?? folder.path)' HOME='\(folder.path)' PATH='\(folder.path)':$PATH; "
                    + "unset REGISTRY_AUTH_FILE XDG_RUNTIME_DIR KILN_REGISTRIES; "
                    + "'\(ProgramTests.path)' image \(arguments) --root '\(folder.path)/root'")
        }
        let host = registry.address
        let stranger = kiln("pull \(host)/app:v1", config: "/nowhere")
        #expect(stranger.status == 1 && stranger.output.contains("sign in"), "\(stranger.output)")

        let pulled = kiln("pull \(host)/app:v1 --output json")
        #expect(pulled.status == 0 && pulled.output.contains("\(image.digest)"), "\(pulled.output)")
        #expect(!pulled.output.contains("secret"))
        #expect(kiln("list").output.contains("\(host)/app:v1"))
        #expect(kiln("show \(host)/app:v1").output.contains("1000:1000"))
        #expect(kiln("tag \(image.digest) \(host)/team/other:v2").status == 0)
        #expect(kiln("push \(host)/team/other:v2").output.contains("0 of 3 blobs moved"))
        #expect(registry.manifest("v2", in: "team/other")?.bytes == image.manifest)
        #expect(kiln("tag \(host)/team/other:v2 stable").status == 0)
        #expect(registry.manifest("stable", in: "team/other")?.bytes == image.manifest)
        let copied = kiln("copy \(host)/team/other:stable oci-archive:'\(folder.path)/a.tar':x")
        #expect(copied.status == 0 && copied.output.contains("\(image.digest)"), "\(copied.output)")
        #expect(kiln("pull oci-archive:'\(folder.path)/a.tar' --name \(host)/b:v1").status == 0)
        #expect(kiln("copy \(host)/b:nothing oci:'\(folder.path)/b'").status == 2)
        #expect(!FileManager.default.fileExists(atPath: "\(folder.path)/b"))
        #expect(kiln("push hello").status == 2)
    }
}
