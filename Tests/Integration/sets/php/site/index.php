<?php
header('Content-Type: text/plain');
printf("six times seven is %d, %s, opcache %s\n", 6 * 7, json_encode(['php' => PHP_MAJOR_VERSION]),
    extension_loaded('Zend OPcache') ? 'loaded' : 'missing');
