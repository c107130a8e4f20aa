# `make package`: one .deb with the program, the service, a configuration and the documentation.
include(GNUInstallDirs)
install(TARGETS stele RUNTIME DESTINATION bin)
install(FILES deploy/debian/stele.service DESTINATION lib/systemd/system)
install(FILES deploy/debian/stele.yaml DESTINATION /etc/stele)
install(FILES README.md DESTINATION share/doc/stele)
install(DIRECTORY docs/ DESTINATION share/doc/stele FILES_MATCHING PATTERN "*.md" PATTERN "*.yaml" PATTERN "decisions" EXCLUDE)
install(DIRECTORY deploy/kubernetes deploy/nginx deploy/caddy deploy/haproxy DESTINATION share/doc/stele/examples)
install(FILES LICENSE DESTINATION share/doc/stele RENAME copyright)

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME stele)
set(CPACK_PACKAGE_VERSION ${PROJECT_VERSION})
set(CPACK_PACKAGE_CONTACT "The Stele authors <stele@localhost>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "OCI registry in which a tag means something")
set(CPACK_DEBIAN_PACKAGE_DESCRIPTION
"A self-hosted registry for container images and other OCI artifacts. Release tags
 do not move, a clean-up never removes what is in use, and every refusal names its rule.")
set(CPACK_PACKAGE_DIRECTORY ${CMAKE_BINARY_DIR}/package)
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION net)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_DEPENDS "adduser, ca-certificates")
set(CPACK_DEBIAN_PACKAGE_CONTROL_EXTRA
    ${CMAKE_SOURCE_DIR}/deploy/debian/postinst ${CMAKE_SOURCE_DIR}/deploy/debian/prerm ${CMAKE_SOURCE_DIR}/deploy/debian/postrm
    ${CMAKE_SOURCE_DIR}/deploy/debian/conffiles)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
include(CPack)
