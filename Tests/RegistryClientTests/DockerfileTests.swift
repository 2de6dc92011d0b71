import Foundation
import Model
import Testing
import TestKit

/// Images of Dockerfiles, built by buildah where it is.
@Suite(.enabled(if: FileManager.default.isExecutableFile(atPath: "/usr/bin/buildah")))
struct DockerfileTests {
    private func site(_ dockerfile: String) throws -> FromSite {
        let site = try FromSite()
        try dockerfile.write(
            toFile: site.folder.path + "/spec/Dockerfile", atomically: true, encoding: .utf8)
        try site.write("dockerfile: Dockerfile")
        let busybox = shell("cp \"$(command -v busybox)\" '\(site.folder.path)/spec/box'")
        #expect(busybox.status == 0, "\(busybox.output)")
        // Everything of buildah's in the test's own folder.
        try """
        [storage]
        driver = "vfs"
        graphroot = "\(site.folder.path)/graph"
        runroot = "\(site.folder.path)/run"
        """.write(toFile: site.folder.path + "/storage.conf", atomically: true, encoding: .utf8)
        return site
    }

    private static let dockerfile = """
        FROM scratch
        COPY box /bin/busybox
        RUN ["/bin/busybox", "touch", "/made"]
        USER 1000:1000
        ENTRYPOINT ["/bin/busybox"]
        CMD ["httpd"]

        """

    @Test(.timeLimit(.minutes(60)))
    func `what a Dockerfile gives is built once, locked, and baked from the store`() throws {
        let site = try site(DockerfileTests.dockerfile)
        let digest = try site.bake()
        let lock = try String(contentsOfFile: site.folder.path + "/spec/kiln.lock", encoding: .utf8)
        #expect(lock.contains("\"name\": \"dockerfile:Dockerfile\""))
        let shown = shell(
            "HOME='\(site.folder.path)' '\(ProgramTests.path)' image show \(digest) --root '\(site.folder.path)/root'"
        )
        #expect(shown.output.contains("httpd") && shown.output.contains("1000:1000"), "\(shown.output)")
        // A bake builds nothing: the file may be gone.
        try FileManager.default.removeItem(atPath: site.folder.path + "/spec/Dockerfile")
        #expect(site.kiln("bake").output.contains("\(digest)"))
        #expect(site.kiln("image verify").status == 0)
        // Another store has no such image, and is told so.
        let elsewhere = site.kiln("bake", root: "second")
        #expect(elsewhere.status == 2 && elsewhere.output.contains("kiln lock"), "\(elsewhere.output)")
    }

    @Test(.timeLimit(.minutes(60)))
    func `a build that fails says what buildah said, and leaves no lock`() throws {
        let site = try site("FROM scratch\nCOPY absent /x\n")
        let lock = site.kiln("lock")
        #expect(lock.status == 1 && lock.output.contains("absent"), "\(lock.output)")
        #expect(!FileManager.default.fileExists(atPath: site.folder.path + "/spec/kiln.lock"))
        try site.write("dockerfile: Dokerfile")
        let missing = site.kiln("lock")
        #expect(missing.status == 2 && missing.output.contains("Dokerfile"), "\(missing.output)")
    }
}
