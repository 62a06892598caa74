# RocketqTest.pm -- what every TAP test of rocketq uses: the exports of
# RocketqNode, RocketqFaults and RocketqLoad under one name.
package RocketqTest;

use strict;
use warnings;

use Exporter 'import';
use RocketqFaults;
use RocketqLoad;
use RocketqNode;

our @EXPORT = (@RocketqNode::EXPORT, @RocketqFaults::EXPORT, @RocketqLoad::EXPORT);

1;
